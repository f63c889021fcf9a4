//! Pictures: a disk with its partitions, to scale as far as there is room.

use ironwake_api::{Disk, Partition};
use ratatui::text::{Line, Span};

use super::paint;
use crate::human;
use crate::look::{Look, Tone};

/// Partitions in a picture; more are told in words.
const PARTITIONS_MAX: usize = 12;
/// A partition is at least as wide as its edge and a letter.
const PART_COLUMNS_MIN: usize = 3;
/// Tones of partitions side by side, so that one can be told from the next.
const TONES: [Tone; 3] = [Tone::Accent, Tone::Ok, Tone::Busy];

/// What holds a partition, in a word.
pub fn held(partition: &Partition) -> String {
    let filesystem = partition.filesystem.as_deref().unwrap_or("?");
    match partition.label.as_deref().or(partition.name.as_deref()).filter(|label| !label.is_empty()) {
        Some(label) => format!("{filesystem} {label}"),
        None => filesystem.to_owned(),
    }
}

/// One disk as a strip of `columns`.
pub fn picture(look: Look, disk: &Disk, columns: usize) -> Line<'static> {
    let symbols = look.symbols();
    let inner = columns.saturating_sub(1);
    if disk.partitions.is_empty() {
        let (text, tone) = match (&disk.filesystem, &disk.table) {
            (Some(filesystem), _) => (format!("{filesystem} on the whole disk"), Tone::Accent),
            (None, Some(table)) => (format!("{table}, no partitions"), Tone::Dim),
            (None, None) => ("empty".to_owned(), Tone::Dim),
        };
        let text = format!(" {text} ");
        let rest = inner.saturating_sub(text.len() + 1);
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
    // Parts of the disk in order: a partition, or room that none holds.
    let mut parts: Vec<(u64, Option<&Partition>)> = Vec::new();
    let mut sorted: Vec<&Partition> = disk.partitions.iter().collect();
    sorted.sort_by_key(|partition| partition.start_bytes);
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
    if disk.size_bytes.saturating_sub(end) > seen {
        parts.push((disk.size_bytes - end, None));
    }
    let widths = shares(&parts.iter().map(|part| part.0).collect::<Vec<_>>(), inner);
    let mut spans: Vec<Span<'static>> = Vec::new();
    let mut number = 0;
    for ((_, partition), width) in parts.iter().zip(widths) {
        spans.push(paint::span(look, symbols.edge, Tone::Dim));
        let room = width.saturating_sub(1);
        match partition {
            Some(partition) => {
                let text = human::fit(&held(partition), room, symbols.cut);
                let pad = room.saturating_sub(text.chars().count());
                spans.push(paint::span(
                    look,
                    format!("{text}{}", " ".repeat(pad)),
                    TONES[number % TONES.len()],
                ));
                number += 1;
            }
            None => spans.push(paint::span(look, symbols.free.repeat(room), Tone::Faint)),
        }
    }
    spans.push(paint::span(look, symbols.edge, Tone::Dim));
    Line::from(spans)
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

    #[test]
    fn every_part_is_seen_and_all_columns_are_used() {
        assert_eq!(shares(&[1, 1_000_000], 40), [3, 37]);
        assert_eq!(shares(&[10, 10], 40), [20, 20]);
        assert_eq!(shares(&[], 40), [0_usize; 0]);
        assert_eq!(shares(&[1, 1, 1], 5).iter().sum::<usize>(), 9, "as narrow as they can be");
    }
}
