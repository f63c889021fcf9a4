//! Images that the real `qemu-img` made, converted on import: the same disk, byte by byte.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::*;

fn run(folder: &Path, program: &str, words: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(words).current_dir(folder).output();
    let output = output.expect("it starts: ./dev setup installs it");
    assert!(output.status.success(), "{program} {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// A disk with zeros, text, noise, and an end within a cluster.
fn disk() -> Vec<u8> {
    let mut disk = noise(3 << 20);
    disk.resize(9 << 20, 0);
    disk.extend(b"some text that is packed well ".iter().cycle().take(2 << 20));
    disk.resize(20 << 20, 0);
    disk.extend(noise(70_000));
    disk.resize(disk.len().next_multiple_of(512), 0);
    disk
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_qcow2_gives_the_disk_that_qemu_img_has_in_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let served = Served::new(TestSite::open().await).await;
    let disk = disk();
    fs::write(folder.join("disk.raw"), &disk).expect("a file");
    let options: &[&[&str]] = &[
        &[],
        &["-c"],
        &["-o", "compat=0.10"],
        &["-c", "-o", "compat=0.10"],
        &["-c", "-o", "compression_type=zstd"],
        &["-o", "cluster_size=512"],
        &["-c", "-o", "cluster_size=512"],
        &["-c", "-o", "cluster_size=2M"],
        &["-c", "-o", "compression_type=zstd,cluster_size=2M"],
        &["-o", "preallocation=metadata"],
        &["-o", "lazy_refcounts=on,refcount_bits=64"],
    ];
    for (number, options) in options.iter().enumerate() {
        let name = format!("image-{number}");
        let words = [&["convert", "-f", "raw", "-O", "qcow2"], *options, &["disk.raw", &name]].concat();
        run(folder, "qemu-img", &words);
        let image = fs::read(folder.join(&name)).expect("an image");
        let digest = Digest::of(&image).to_string();
        let artifact = served.import(&name, &image, Some(&digest)).await;
        let artifact = artifact.unwrap_or_else(|error| panic!("{options:?}: {error}"));
        assert_eq!((artifact.packing, artifact.disk_bytes), (Some(Packing::Zstd), Some(disk.len() as u64)));
        let converted = artifact.origin.and_then(|origin| origin.converted).expect("what it was");
        assert_eq!((&*converted.format, &converted.sha256), ("qcow2", &digest));
        assert_eq!(converted.size_bytes, image.len() as u64);
        assert_ne!(artifact.sha256.as_deref(), Some(&*digest));
        let (status, packed) = served.get(&artifact.path.expect("a path"), None).await;
        assert_eq!((status, Digest::of(&packed).to_string()), (200, artifact.sha256.expect("a digest")));
        let unpacked = zstd::decode_all(&packed[..]).expect("zstd");
        assert!(unpacked == disk, "{options:?}: another disk");
        fs::write(folder.join("unpacked.raw"), unpacked).expect("a file");
        run(folder, "qemu-img", &["compare", "-f", "raw", "-F", "qcow2", "unpacked.raw", &name]);
    }
    // Eleven ways to write one disk are one file.
    assert_eq!(served.files().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_are_left_out_and_what_needs_more_than_itself_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let served = Served::new(TestSite::open().await).await;
    let image = |name: &str| fs::read(folder.join(name)).expect("an image");
    run(folder, "qemu-img", &["create", "-f", "qcow2", "snap.qcow2", "8M"]);
    run(folder, "qemu-io", &["-c", "write -P 0x11 1M 1M", "snap.qcow2"]);
    run(folder, "qemu-img", &["snapshot", "-c", "before", "snap.qcow2"]);
    run(folder, "qemu-io", &["-c", "write -P 0x22 1M 512k", "-c", "write -z 4M 64k", "snap.qcow2"]);
    let artifact = served.import("snap", &image("snap.qcow2"), None).await.expect("imported");
    let (_, packed) = served.get(&artifact.path.expect("a path"), None).await;
    let disk = zstd::decode_all(&packed[..]).expect("zstd");
    run(folder, "qemu-img", &["convert", "-O", "raw", "snap.qcow2", "snap.raw"]);
    assert!(disk == image("snap.raw"), "another disk");
    assert_eq!((disk[1 << 20], disk[3 << 19], disk[4 << 20]), (0x22, 0x11, 0));

    run(folder, "qemu-img", &["create", "-f", "qcow2", "-b", "snap.qcow2", "-F", "qcow2", "top.qcow2"]);
    check_refused(served.import("bad", &image("top.qcow2"), None).await, 422, "backing file");
    // Not LUKS: making that measures this host's speed, and gives up on a busy one.
    let secret = ["--object", "secret,id=s,data=abc", "-o", "encrypt.format=aes,encrypt.key-secret=s"];
    run(folder, "qemu-img", &[&["create", "-f", "qcow2"], &secret[..], &["aes.qcow2", "1M"]].concat());
    check_refused(served.import("bad", &image("aes.qcow2"), None).await, 422, "encrypted");
    run(folder, "qemu-img", &["create", "-f", "qcow2", "-o", "data_file=data.raw", "ext.qcow2", "1M"]);
    check_refused(served.import("bad", &image("ext.qcow2"), None).await, 422, "another file");
    run(folder, "qemu-img", &["create", "-f", "qcow2", "-o", "extended_l2=on", "sub.qcow2", "1M"]);
    check_refused(served.import("bad", &image("sub.qcow2"), None).await, 422, "extended_l2");
    let whole = image("snap.qcow2");
    check_refused(served.import("bad", &whole[..100_000], None).await, 422, "broken");
    run(folder, "qemu-img", &["create", "-f", "vmdk", "disk.vmdk", "1M"]);
    check_refused(served.import("bad", &image("disk.vmdk"), None).await, 422, "qemu-img convert");
    assert_eq!(served.files().len(), 1);
}
