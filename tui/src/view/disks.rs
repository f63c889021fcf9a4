//! Pictures: a disk with its partitions, to scale as far as there is room, and what each is below it.

use ironwake_api::{Disk, Partition};
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::paint;
use crate::human;
use crate::look::{Look, Tone};

/// Partitions in a picture; more are counted.
const PARTITIONS_MAX: usize = 12;
/// A partition is at least as wide as its edge, its number and a gap.
const PART_COLUMNS_MIN: usize = 3;
/// Tones of partitions side by side, so that one can be told from the next; as many as there are backgrounds.
const TONES: [Tone; 4] = [Tone::Accent, Tone::Ok, Tone::Busy, Tone::Warn];
/// Between entries of the legend.
const GAP_COLUMNS: usize = 3;

/// What holds a partition, in a word.
pub fn held(partition: &Partition) -> String {
    let filesystem = partition.filesystem.as_deref().unwrap_or("?");
    match label(partition) {
        Some(label) => format!("{filesystem} {label}"),
        None => filesystem.to_owned(),
    }
}

fn label(partition: &Partition) -> Option<&str> {
    partition.label.as_deref().or(partition.name.as_deref()).filter(|label| !label.is_empty())
}

/// Parts of a disk in order: a partition, or room that none holds; and how many partitions are left out.
fn parts(disk: &Disk) -> (Vec<(u64, Option<&Partition>)>, usize) {
    let mut parts: Vec<(u64, Option<&Partition>)> = Vec::new();
    let mut sorted: Vec<&Partition> = disk.partitions.iter().collect();
    sorted.sort_by_key(|partition| partition.start_bytes);
    let more = sorted.len().saturating_sub(PARTITIONS_MAX);
    let mut end = 0;
    // Alignment leaves less than that free.
    let seen = disk.size_bytes / 200;
    for partition in sorted.into_iter().take(PARTITIONS_MAX) {
        if partition.start_bytes.saturating_sub(end) > seen {
            parts.push((partition.start_bytes - end, None));
        }
        parts.push((partition.size_bytes, Some(partition)));
        end = partition.start_bytes.saturating_add(partition.size_bytes);
    }
    if more == 0 && disk.size_bytes.saturating_sub(end) > seen {
        parts.push((disk.size_bytes - end, None));
    }
    (parts, more)
}

/// One disk as a strip of `columns`: in each partition its number, and as much of what holds it as there is room for.
pub fn picture(look: Look, disk: &Disk, columns: usize) -> Line<'static> {
    let symbols = look.symbols();
    let inner = columns.saturating_sub(1);
    if disk.partitions.is_empty() {
        let (text, tone) = match (&disk.filesystem, &disk.table) {
            (Some(filesystem), _) => (format!("{filesystem} on the whole disk"), Tone::Accent),
            (None, Some(table)) => (format!("{table}, no partitions"), Tone::Dim),
            (None, None) => ("empty".to_owned(), Tone::Dim),
        };
        let text = human::fit(&format!(" {text} "), inner.saturating_sub(1), symbols.cut);
        let rest = inner.saturating_sub(text.width() + 1);
        return paint::line(
            look,
            [
                (symbols.edge, Tone::Dim),
                (&text, tone),
                (&symbols.free.repeat(rest), Tone::Faint),
                (symbols.edge, Tone::Dim),
            ],
        );
    }
    let (parts, _) = parts(disk);
    let widths = shares(&parts.iter().map(|part| part.0).collect::<Vec<_>>(), inner);
    let mut spans: Vec<Span<'static>> = Vec::new();
    let mut place = 0;
    for ((_, partition), width) in parts.iter().zip(widths) {
        let room = width.saturating_sub(1);
        let Some(partition) = partition else {
            spans.push(paint::span(look, symbols.edge, Tone::Dim));
            spans.push(paint::span(look, symbols.free.repeat(room), Tone::Faint));
            continue;
        };
        let text = shortest(partition, room);
        let pad = room.saturating_sub(text.width());
        let back = look.part(place);
        spans.push(paint::span(look, symbols.edge, Tone::Dim).patch_style(back));
        let text = format!("{text}{}", " ".repeat(pad));
        spans.push(paint::span(look, text, TONES[place % TONES.len()]).patch_style(back));
        place += 1;
    }
    spans.push(paint::span(look, symbols.edge, Tone::Dim));
    Line::from(spans)
}

/// The longest of what can be said of a partition in `room` columns: nothing is cut, the legend says the rest.
fn shortest(partition: &Partition, room: usize) -> String {
    let number = partition.number;
    let texts = [
        format!("{number} {}", held(partition)),
        format!("{number} {}", label(partition).or(partition.filesystem.as_deref()).unwrap_or("?")),
        number.to_string(),
    ];
    texts.into_iter().find(|text| text.width() <= room).unwrap_or_default()
}

/// What each partition is, how large, and what is free, in lines of at most `columns`.
pub fn legend(look: Look, disk: &Disk, columns: usize) -> Vec<Line<'static>> {
    let (parts, more) = parts(disk);
    if disk.partitions.is_empty() {
        return Vec::new();
    }
    let mut entries: Vec<Vec<Span<'static>>> = Vec::new();
    let mut free = 0;
    for (size, partition) in parts {
        let Some(partition) = partition else {
            free += size;
            continue;
        };
        let tone = TONES[entries.len() % TONES.len()];
        entries.push(vec![
            paint::span(look, partition.number.to_string(), tone),
            paint::span(look, format!(" {}", held(partition)), Tone::Plain),
            paint::span(look, format!(" {}", human::size(size)), Tone::Dim),
        ]);
    }
    if more > 0 {
        entries.push(vec![paint::span(look, format!("and {more} more"), Tone::Dim)]);
    }
    if free > 0 {
        entries.push(vec![
            paint::span(look, look.symbols().free, Tone::Faint),
            paint::span(look, format!(" {} free", human::size(free)), Tone::Dim),
        ]);
    }
    let mut lines: Vec<Line<'static>> = vec![Line::default()];
    for entry in entries {
        let width: usize = entry.iter().map(Span::width).sum();
        let line = lines.last_mut().expect("there is always one");
        let used = line.width();
        if used == 0 {
            line.spans = entry;
        } else if used + GAP_COLUMNS + width <= columns {
            line.spans.push(Span::raw(" ".repeat(GAP_COLUMNS)));
            line.spans.extend(entry);
        } else {
            lines.push(Line::from(entry));
        }
    }
    lines
}

/// `columns` shared out by size, none less than it takes to be seen.
fn shares(sizes: &[u64], columns: usize) -> Vec<usize> {
    let total: u128 = sizes.iter().map(|size| u128::from(*size)).sum::<u128>().max(1);
    let spare = columns.saturating_sub(sizes.len() * PART_COLUMNS_MIN) as u128;
    let share = |size: &u64| PART_COLUMNS_MIN + (u128::from(*size) * spare / total) as usize;
    let mut widths: Vec<usize> = sizes.iter().map(share).collect();
    let used: usize = widths.iter().sum();
    if let Some(widest) = widths.iter_mut().max() {
        *widest += columns.saturating_sub(used);
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::look::Colours;

    const LOOK: Look = Look { colours: Colours::None, ascii: true };

    fn disk() -> Disk {
        const GIB: u64 = 1 << 30;
        let part = |number, start_bytes, size_bytes, filesystem: &str, label: &str| Partition {
            number,
            start_bytes,
            size_bytes,
            filesystem: Some(filesystem.into()),
            label: Some(label.into()),
            ..Partition::default()
        };
        Disk {
            size_bytes: 900 * GIB,
            partitions: vec![
                part(1, 1 << 20, GIB / 2, "vfat", "EFI"),
                part(2, GIB, 400 * GIB, "ext4", "root"),
                part(3, 401 * GIB, 20 * GIB, "xfs", "data"),
            ],
            ..Disk::default()
        }
    }

    #[test]
    fn every_part_is_seen_and_all_columns_are_used() {
        assert_eq!(shares(&[1, 1_000_000], 40), [3, 37]);
        assert_eq!(shares(&[10, 10], 40), [20, 20]);
        assert_eq!(shares(&[], 40), [0_usize; 0]);
        assert_eq!(shares(&[1, 1, 1], 5).iter().sum::<usize>(), 9, "as narrow as they can be");
    }

    #[test]
    fn a_small_partition_shows_its_number_and_the_legend_says_what_it_is() {
        assert_eq!(picture(LOOK, &disk(), 40).to_string(), "|1 |2 ext4 root   |3 |.................|");
        let legend: Vec<String> = legend(LOOK, &disk(), 50).iter().map(Line::to_string).collect();
        assert_eq!(
            legend,
            ["1 vfat EFI 512 MiB   2 ext4 root 400 GiB", "3 xfs data 20 GiB   . 479 GiB free"]
        );
    }

    #[test]
    fn a_disk_without_partitions_needs_no_legend() {
        let disk = Disk { size_bytes: 1 << 40, table: Some("gpt".into()), ..Disk::default() };
        assert_eq!(picture(LOOK, &disk, 24).to_string(), "| gpt, no partitions ..|");
        assert!(legend(LOOK, &disk, 40).is_empty());
    }
}
