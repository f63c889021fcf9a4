use proptest::prelude::*;

use super::*;

fn manifest() -> serde_json::Value {
    let file = |part: &Part| {
        let mut file =
            serde_json::json!({"name": part.name, "size": 3, "sha256": "0".repeat(64), "packed": null});
        if part.packed {
            file["packed"] = "zstd".into();
            file["unpacked_size"] = 4096.into();
        }
        file
    };
    let files: Vec<_> = PARTS.iter().map(file).collect();
    serde_json::json!({"version": "0.2.0", "architecture": "amd64", "built": 1_780_000_000, "files": files})
}

#[track_caller]
fn refused(change: impl FnOnce(&mut serde_json::Value), expected: &str) {
    let mut value = manifest();
    change(&mut value);
    let error = Manifest::parse(value.to_string().as_bytes()).expect_err("refused").to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn a_manifest_is_read_and_written() {
    let read = Manifest::parse(manifest().to_string().as_bytes()).expect("a manifest");
    assert_eq!((read.bytes(), read.unpacked_bytes()), (15, 4096 + 12));
    assert_eq!(read.file_name(), "ironwake-0.2.0-amd64.update");
    assert_eq!(Manifest::parse(&read.encode()).expect("its own words"), read);
}

#[test]
fn what_is_wrong_with_a_manifest_is_said() {
    refused(|m| m["version"] = "../1".into(), "is no version");
    refused(|m| m["architecture"] = "arm64".into(), "it is for \"arm64\", and this appliance is amd64");
    refused(|m| m["more"] = 1.into(), "unknown field `more`");
    refused(|m| m["files"][4]["owner"] = "root".into(), "unknown field `owner`");
    refused(
        |m| drop(m["files"].as_array_mut().expect("files").pop()),
        "it lists 4 files; expected root.squashfs.zst, ",
    );
    refused(
        |m| m["files"].as_array_mut().expect("files").swap(1, 2),
        "has \"vmlinuz\" where \"kernel.efi\" comes",
    );
    refused(|m| m["files"][2]["name"] = "/etc/passwd".into(), "has \"/etc/passwd\" where \"vmlinuz\" comes");
    refused(
        |m| m["files"][0]["packed"] = serde_json::Value::Null,
        "root.squashfs.zst must be packed with zstd",
    );
    refused(|m| m["files"][0]["packed"] = "lzma".into(), "packed with \"lzma\"; expected zstd");
    refused(|m| m["files"][1]["unpacked_size"] = 3.into(), "unpacked_size belongs to packed files");
    refused(
        |m| m["files"][0]["unpacked_size"] = (SLOT_BYTES + 1).into(),
        "are the most that its place holds",
    );
    refused(|m| m["files"][4]["size"] = (1 << 20).into(), "boot.cfg of the bundle has 1048576 bytes");
    refused(
        |m| m["files"][3]["size"] = (ESP_BYTES_MAX - 1).into(),
        "the most that the ESP holds of one version",
    );
    refused(|m| m["files"][3]["size"] = 0.into(), "initrd is empty");
    refused(|m| m["files"][3]["sha256"] = "beef".into(), "is not a SHA-256 digest");
    let twice = r#"{"version":"1","version":"2","architecture":"amd64","built":1,"files":[]}"#;
    let error = Manifest::parse(twice.as_bytes()).expect_err("refused").to_string();
    assert!(error.contains("duplicate field `version`"), "{error}");
}

/// What is said of one member that is not as it should be.
#[track_caller]
fn header_refused(change: impl FnOnce(&mut [u8]), expected: &str) {
    let mut block = Vec::new();
    write_header(&mut block, MANIFEST, 5, 1).expect("written");
    change(&mut block);
    let sum: u32 = block
        .iter()
        .enumerate()
        .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) })
        .sum();
    block[148..154].copy_from_slice(format!("{sum:06o}").as_bytes());
    let error = header(&mut &block[..], MANIFEST).expect_err("refused").to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn members_are_plain_files_of_one_name() {
    let mut block = Vec::new();
    write_header(&mut block, MANIFEST, 5, 1).expect("written");
    assert_eq!(header(&mut &block[..], MANIFEST).expect("a header"), 5);
    header_refused(|block| block[..6].copy_from_slice(b"./mani"), "where \"manifest.json\" comes");
    header_refused(|block| block[156] = b'2', "manifest.json is no regular file");
    header_refused(|block| block[345] = b'x', "where \"manifest.json\" comes");
    header_refused(|block| block[257] = b'x', "it is no tar archive");
    header_refused(|block| block[124] = 0x80, "has no size");
    let mut spoilt = block.clone();
    spoilt[105] = b'7';
    assert!(
        header(&mut &spoilt[..], MANIFEST).expect_err("refused").to_string().contains("checksum is wrong")
    );
    assert!(matches!(header(&mut &block[..99], MANIFEST), Err(BadBundle::Short(_))));
    assert!(matches!(header(&mut &[0; BLOCK][..], MANIFEST), Err(BadBundle::Order { .. })));
}

#[test]
fn nothing_is_hidden_behind_the_end() {
    let end = |bytes: &[u8]| trailer(&mut &bytes[..]);
    assert!(end(&[0; 2 * BLOCK]).is_ok() && end(&[0; 20 * BLOCK]).is_ok());
    assert!(matches!(end(&[0; BLOCK]), Err(BadBundle::Short(_))));
    let mut more = vec![0; 3 * BLOCK];
    more[2 * BLOCK] = 1;
    assert!(matches!(end(&more), Err(BadBundle::Order { .. })));
    assert!(matches!(end(&vec![0; 41 * BLOCK]), Err(BadBundle::Order { .. })));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..1200)) {
        let _ = header(&mut &bytes[..], MANIFEST);
        let _ = Manifest::parse(&bytes);
        let _ = trailer(&mut &bytes[..]);
    }
}
