//! Images of every packing onto a disk in memory that held something else.

use ironwake_api::ImageSource;
use sha2::{Digest, Sha256};

use super::*;
use crate::work::{
    testing::{Act, Answer, Double, Recorder, image_bytes},
    unpack::pack,
};

const MIB: usize = 1 << 20;
const PACKINGS: [Packing; 5] = [Packing::Raw, Packing::Gzip, Packing::Xz, Packing::Zstd, Packing::Bzip2];

/// Blocks of noise at the start, in the third block and at the end; zeros between.
fn image(length: usize) -> Vec<u8> {
    let noise = image_bytes(MIB);
    let mut image = vec![0; length];
    for at in [0, 9 * MIB, length - 600_000] {
        let part = noise.len().min(length - at);
        image[at..at + part].copy_from_slice(&noise[..part]);
    }
    image
}

fn source(packing: Packing, packed: &[u8]) -> ImageSource {
    ImageSource {
        path: "/artifacts/image".into(),
        packing,
        size_bytes: packed.len() as u64,
        sha256: Sha256::digest(packed).iter().map(|byte| format!("{byte:02X}")).collect(),
        disk_bytes: None,
    }
}

fn written(source: &ImageSource, packed: Vec<u8>, target: &mut Recorder) -> Result<Rest, WriteError> {
    let double = Double::start(move |request| Answer::file(request, &packed));
    let meter = Meter::default();
    write(&double.url, source, target, &meter)
}

#[track_caller]
fn check_fails(source: &ImageSource, packed: Vec<u8>, target: &mut Recorder, expected: &str) {
    let error = written(source, packed, target).expect_err("an error").to_string();
    assert!(error.contains(expected), "{error}");
    assert!(target.bytes[..BLOCK_BYTES].iter().all(|byte| *byte == 0xa5), "the first block was written");
}

#[test]
fn every_packing_arrives_but_its_first_block() {
    let image = image(22 * MIB + 100);
    for packing in PACKINGS {
        let packed = pack(packing, &image);
        let mut target = Recorder::new(32 << 20);
        let rest = written(&source(packing, &packed), packed, &mut target).expect("written");
        assert_eq!(rest.image_bytes, image.len() as u64);
        assert!(rest.first == image[..BLOCK_BYTES]);
        assert!(target.bytes[..BLOCK_BYTES].iter().all(|byte| *byte == 0xa5), "{packing:?}");
        assert!(target.bytes[BLOCK_BYTES..image.len()] == image[BLOCK_BYTES..], "{packing:?}");
        // Padded to a sector with zeros, and not a byte more.
        let end = image.len().next_multiple_of(512);
        assert!(target.bytes[image.len()..end].iter().all(|byte| *byte == 0));
        assert!(target.bytes[end..].iter().all(|byte| *byte == 0xa5));
    }
}

#[test]
fn zeros_are_made_by_the_device_in_one_go_and_never_assumed() {
    let image = image(22 * MIB);
    let packed = pack(Packing::Zstd, &image);
    let mut target = Recorder::new(32 << 20);
    written(&source(Packing::Zstd, &packed), packed, &mut target).expect("written");
    let expected = [
        Act::Zeroed(4 << 20, 4 << 20),
        Act::Wrote(8 << 20, 4 << 20),
        Act::Zeroed(12 << 20, 8 << 20),
        Act::Wrote(20 << 20, 2 << 20),
        Act::Flushed,
    ];
    assert_eq!(target.acts, expected);
}

#[test]
fn larger_sectors_are_filled_too() {
    let image = image(22 * MIB + 5000);
    let mut target = Recorder { sector_bytes: 4096, ..Recorder::new(32 << 20) };
    written(&source(Packing::Raw, &image), image.clone(), &mut target).expect("written");
    assert!(target.bytes[BLOCK_BYTES..image.len()] == image[BLOCK_BYTES..]);
    let small = &image[..5000];
    let rest = written(&source(Packing::Raw, small), small.to_vec(), &mut target).expect("written");
    assert_eq!((rest.first.len(), rest.image_bytes), (8192, 5000));
}

#[test]
fn what_is_not_the_promised_image_is_refused() {
    let image = image(22 * MIB);
    let packed = pack(Packing::Zstd, &image);
    let promised = source(Packing::Zstd, &packed);
    let disk = || Recorder::new(32 << 20);
    let mut other = source(Packing::Raw, &image);
    other.sha256 = "0".repeat(64);
    check_fails(&other, image.clone(), &mut disk(), "the image's SHA-256 is");
    let mut damaged = packed.clone();
    damaged[1000] ^= 1;
    check_fails(&promised, damaged, &mut disk(), "image");
    let cut = packed[..packed.len() - 1000].to_vec();
    check_fails(&promised, cut.clone(), &mut disk(), "bytes instead of");
    check_fails(&source(Packing::Zstd, &cut), cut, &mut disk(), "cannot be unpacked as Zstd");
    check_fails(&source(Packing::Xz, &packed), packed.clone(), &mut disk(), "cannot be unpacked as Xz");
    let longer = ImageSource { disk_bytes: Some(23 << 20), ..promised };
    check_fails(&longer, packed, &mut disk(), "23068672 bytes unpacked, 24117248 were promised");
}

#[test]
fn a_disk_that_is_too_small_or_breaks_ends_the_work() {
    let image = image(22 * MIB);
    let raw = source(Packing::Raw, &image);
    check_fails(&raw, image.clone(), &mut Recorder::new(21 << 20), "more than the disk's 22020096 bytes");
    let mut broken = Recorder { broken_from: 10 << 20, ..Recorder::new(32 << 20) };
    check_fails(&raw, image, &mut broken, "byte 8388608 cannot be written: Input/output error");
}

#[test]
fn an_operation_that_was_ended_stops_the_pipeline() {
    let image = image(22 * MIB);
    let source = source(Packing::Raw, &image);
    let double = Double::start(move |request| Answer::file(request, &image));
    let (meter, mut target) = (Meter::default(), Recorder::new(32 << 20));
    meter.end();
    let error = write(&double.url, &source, &mut target, &meter).expect_err("an end");
    assert!(matches!(error, WriteError::Ended));
}
