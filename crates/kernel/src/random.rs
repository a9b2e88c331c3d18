/// Returns `bytes` random bytes as hexadecimal digits. They come from the operating system and can't be
/// guessed.
///
/// # Panics
/// If the operating system gives no random bytes.
pub fn random_hex(bytes: usize) -> String {
    let mut random = vec![0u8; bytes];
    getrandom::fill(&mut random).expect("the operating system gives random bytes");
    hex::encode(random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_text_has_two_digits_for_each_byte_and_is_never_the_same() {
        assert_eq!(random_hex(16).len(), 32);
        assert_ne!(random_hex(16), random_hex(16));
    }
}
