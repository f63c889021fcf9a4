//! Unpacks an image: every packing's reader takes several streams one after the other.

use std::io::{self, BufReader, Read};

use bzip2::read::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use ironwake_api::Packing;
use liblzma::{read::XzDecoder, stream::Stream};

/// An xz of `xz -9` wants 65 MiB; more than this is made to exhaust the memory.
const XZ_MEMORY_MAX: u64 = 512 << 20;
/// Windows of `zstd --ultra -22` (2^27); `--long=31` would want 2 GiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
/// What gzip's reader takes at once.
const BUFFER_BYTES: usize = 256 << 10;

/// A reader of the image itself.
pub fn unpack<'a>(packing: Packing, packed: impl Read + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
    Ok(match packing {
        Packing::Raw => Box::new(packed),
        Packing::Gzip => Box::new(MultiGzDecoder::new(BufReader::with_capacity(BUFFER_BYTES, packed))),
        Packing::Xz => {
            let stream = Stream::new_stream_decoder(XZ_MEMORY_MAX, liblzma::stream::CONCATENATED)?;
            Box::new(XzDecoder::new_stream(packed, stream))
        }
        Packing::Zstd => {
            let mut decoder = zstd::Decoder::new(packed)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            Box::new(decoder)
        }
        Packing::Bzip2 => Box::new(MultiBzDecoder::new(packed)),
    })
}

/// The same bytes packed in two streams, as parallel packers write them.
#[cfg(test)]
pub fn pack(packing: Packing, bytes: &[u8]) -> Vec<u8> {
    let (first, second) = bytes.split_at(bytes.len() / 2);
    [first, second].iter().flat_map(|part| pack_stream(packing, part)).collect()
}

#[cfg(test)]
fn pack_stream(packing: Packing, bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    let result = match packing {
        Packing::Raw => io::copy(&mut &bytes[..], &mut packed),
        Packing::Gzip => flate2::bufread::GzEncoder::new(bytes, flate2::Compression::fast())
            .read_to_end(&mut packed)
            .map(|n| n as u64),
        Packing::Xz => liblzma::read::XzEncoder::new(bytes, 1).read_to_end(&mut packed).map(|n| n as u64),
        Packing::Zstd => zstd::encode_all(bytes, 1).map(|all| {
            packed = all;
            0
        }),
        Packing::Bzip2 => bzip2::read::BzEncoder::new(bytes, bzip2::Compression::fast())
            .read_to_end(&mut packed)
            .map(|n| n as u64),
    };
    result.expect("packed");
    packed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::testing::image_bytes;

    pub const ALL: [Packing; 5] = [Packing::Raw, Packing::Gzip, Packing::Xz, Packing::Zstd, Packing::Bzip2];

    fn unpacked(packing: Packing, packed: &[u8]) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        unpack(packing, packed)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    #[test]
    fn two_streams_of_every_packing_are_one_image() {
        let mut image = image_bytes(300_000);
        image[100_000..250_000].fill(0);
        for packing in ALL {
            assert!(unpacked(packing, &pack(packing, &image)).expect("unpacked") == image, "{packing:?}");
        }
    }

    #[test]
    fn what_is_cut_short_or_damaged_is_an_error() {
        let image = image_bytes(300_000);
        for packing in ALL.into_iter().filter(|packing| *packing != Packing::Raw) {
            let packed = pack(packing, &image);
            let cut = &packed[..packed.len() - 20];
            assert!(unpacked(packing, cut).is_err(), "{packing:?} cut short");
            let mut damaged = packed.clone();
            damaged[100_000] ^= 0x40;
            let damaged = unpacked(packing, &damaged);
            assert!(damaged.is_err() || damaged.is_ok_and(|bytes| bytes != image), "{packing:?} damaged");
            assert!(unpacked(packing, &image).is_err(), "{packing:?} of something else");
        }
    }
}
