//! Vectors of RFC 3711 appendix B, of RFC 7714 §16–17, and the reference packet of libsrtp's own
//! test driver (key and packet of RFC 3711 B.3's key).

use super::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

fn array<const N: usize>(text: &str) -> [u8; N] {
    hex(text).try_into().unwrap()
}

/// RFC 3711 B.2.
#[test]
fn counter_mode() {
    let aes = Aes128Enc::new_from_slice(&hex("2B7E151628AED2A6ABF7158809CF4F3C")).unwrap();
    let cipher = Cipher::from_session(
        Suite::AesCm128HmacSha1_80,
        Kind::Rtp,
        &array("2B7E151628AED2A6ABF7158809CF4F3C"),
        &[0; MAC_KEY],
        Zeroizing::new(array("F0F1F2F3F4F5F6F7F8F9FAFBFCFD")),
    );
    let block = cipher.unwrap().counter(0, 0);
    assert_eq!(block, array("F0F1F2F3F4F5F6F7F8F9FAFBFCFD0000"));
    let mut stream = vec![0; 16 * 0xff03];
    keystream(&aes, &block).apply_keystream(&mut stream);
    let cases = [
        (0, "E03EAD0935C95E80E166B16DD92B4EB4"),
        (1, "D23513162B02D0F72A43A2FE4A5F97AB"),
        (2, "41E95B3BB0A2E8DD477901E4FCA894C0"),
        (0xfeff, "EC8CDF7398607CB0F2D21675EA9EA1E4"),
        (0xff00, "362B7C3C6773516318A077D7FC5073AE"),
        (0xff01, "6A2CC3787889374FBEB4C81B17BA6C44"),
    ];
    for (block, expected) in cases {
        assert_eq!(stream[block * 16..][..16], hex(expected), "block {block:x}");
    }
}

/// RFC 3711 B.3.
#[test]
fn session_keys() {
    let master = Aes128Enc::new_from_slice(&hex("E1F97A0D3E018BE0D64FA32C06DE4139")).unwrap();
    let salt = array("0EC675AD498AFEEBB6960B3AABE6");
    let key = |label, length| {
        let mut out = vec![0; length];
        derive(&master, &salt, label, &mut out);
        out
    };
    assert_eq!(key(0, 16), hex("C61E7A93744F39EE10734AFE3FF7A087"));
    assert_eq!(key(2, 14), hex("30CBBC08863D8C85D49DB34A9AE1"));
    let authentication = "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCE\
        E049646C43D9327AD175578EF72270986371C10C9A369AC2F94A8C5FBCDDDC25\
        6D6E919A48B610EF17C2041E474035766B68642C59BBFC2F34DB60DBDFB2DC68";
    assert_eq!(key(1, 94), hex(authentication)[..94]);
}

#[test]
fn packet_of_libsrtp() {
    let key = "E1F97A0D3E018BE0D64FA32C06DE41390EC675AD498AFEEBB6960B3AABE6";
    let master = MasterKey { bytes: hex(key) };
    let cipher = Cipher::new(Suite::AesCm128HmacSha1_80, &master, Kind::Rtp).unwrap();
    let plain = hex("800f1234decafbadcafebabeabababababababababababababababab");
    let secure = "800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb";
    check(&cipher, &plain, &hex(secure), 12, (0xcafe_babe, 0x1234));
}

/// RFC 7714 §16.1.1.
#[test]
fn gcm_rtp() {
    let plain = "8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976 \
        69736120 696e2070 61727465 73207472 6573";
    let secure = "8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 \
        0d294e6f 42a5f47a 51c7d19b 36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce";
    let cipher = gcm(Kind::Rtp);
    assert_eq!(cipher.nonce(0x5501_a0b2, 0xf17b), array("51753c6580c2726f20718414"));
    check(&cipher, &hex(plain), &hex(secure), 12, (0x5501_a0b2, 0xf17b));
}

/// RFC 7714 §17.1.
#[test]
fn gcm_rtcp() {
    let plain = "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61 \
        deadbeef deadbeef deadbeef deadbeef deadbeef";
    let secure = "81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d \
        c676a5f1 730d6fda 4ce09b46 86303ded 0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade 800005d4";
    let cipher = gcm(Kind::Rtcp);
    assert_eq!(cipher.stated(&hex(secure)), Some(0x5d4));
    check(&cipher, &hex(plain), &hex(secure), 8, (0x4d61_7273, 0x5d4));
}

fn gcm(kind: Kind) -> Cipher {
    let mut salt = Zeroizing::new([0; SALT]);
    salt[..NONCE].copy_from_slice(b"Quid pro quo");
    let key = array("000102030405060708090a0b0c0d0e0f");
    Cipher::from_session(Suite::AeadAes128Gcm, kind, &key, &[0; MAC_KEY], salt).unwrap()
}

/// Both ways, and exactly as much room as is needed.
fn check(cipher: &Cipher, plain: &[u8], secure: &[u8], header: usize, place: (u32, u64)) {
    let mut buffer = [plain, &vec![0; cipher.overhead()]].concat();
    assert_eq!(cipher.seal(&mut buffer, header, plain.len(), place), Some(secure.len()));
    assert_eq!(buffer, secure);
    assert_eq!(cipher.open(&mut buffer, header, place), Some(plain.len()));
    assert_eq!(&buffer[..plain.len()], plain);
    buffer.pop();
    assert_eq!(cipher.seal(&mut buffer, header, plain.len(), place), None, "no room");
}
