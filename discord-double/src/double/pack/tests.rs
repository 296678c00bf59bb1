use super::*;
use flate2::{Decompress, FlushDecompress};
use proptest::prelude::*;

fn bytes(message: Message) -> Vec<u8> {
    match message {
        Message::Binary(bytes) => bytes.to_vec(),
        other => panic!("not packed: {other:?}"),
    }
}

/// Inflates what one stream has given so far.
fn inflated(stream: &mut Decompress, packed: &[u8]) -> String {
    let mut out = Vec::with_capacity(1 << 20);
    stream.decompress_vec(packed, &mut out, FlushDecompress::Sync).expect("a zlib stream");
    String::from_utf8(out).expect("text")
}

/// Reads the blocks of the frame, as RFC 8878 lays them out; the header comes with the first payload only.
fn stored(packed: &[u8], first: bool) -> String {
    let mut rest = if first {
        packed.strip_prefix(&[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38][..]).expect("the frame's header")
    } else {
        packed
    };
    let mut out = Vec::new();
    while !rest.is_empty() {
        let header = u32::from_le_bytes([rest[0], rest[1], rest[2], 0]);
        assert_eq!(header & 0b111, 0, "stored, and not the last block");
        let size = header as usize >> 3;
        assert!(size <= 128 << 10, "no block is larger than the window");
        out.extend(&rest[3..3 + size]);
        rest = &rest[3 + size..];
    }
    String::from_utf8(out).expect("text")
}

#[test]
fn nobody_asked_and_nothing_is_packed() {
    for compress in [None, Some("lz4")] {
        assert_eq!(Packer::asked(compress).pack("{}"), Message::Text("{}".into()));
    }
}

#[test]
fn a_payload_packed_by_itself_needs_no_other() {
    let mut packer = Packer::Each;
    for text in ["first", "second"] {
        assert_eq!(inflated(&mut Decompress::new(true), &bytes(packer.pack(text))), text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn one_inflater_reads_the_whole_connection(texts in prop::collection::vec("[a-z{}\":,0-9é]{1,6000}", 1..8)) {
        let (mut packer, mut stream) = (Packer::asked(Some("zlib-stream")), Decompress::new(true));
        for text in &texts {
            let packed = bytes(packer.pack(text));
            prop_assert!(packed.ends_with(&[0, 0, 0xff, 0xff]), "every payload ends with a flush");
            prop_assert_eq!(&inflated(&mut stream, &packed), text);
        }
    }

    #[test]
    fn one_zstd_frame_spans_the_connection(lengths in prop::collection::vec(1_usize..300_000, 1..4)) {
        let mut packer = Packer::asked(Some("zstd-stream"));
        for (number, length) in lengths.iter().enumerate() {
            let text = "x".repeat(*length);
            prop_assert_eq!(stored(&bytes(packer.pack(&text)), number == 0), text);
        }
    }
}
