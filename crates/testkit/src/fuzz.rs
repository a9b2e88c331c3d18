use std::path::{Path, PathBuf};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Runs a target over a stored corpus: first each entry unchanged, then randomly changed entries.
///
/// The corpus is the folder `fuzz/<name>` of the crate that contains the target. An input that once broke a
/// parser is added to it as a file, so that every later run tries it first. proptest generates the changes
/// and shrinks an input that fails. `PROPTEST_CASES` says how many inputs are tried; `cargo xtask fuzz` sets
/// it high.
///
/// ```ignore
/// #[test]
/// fn no_header_makes_the_parser_of_cookies_panic() {
///     testkit::fuzz!("cookies", |input| {
///         let _ = parse(input);
///     });
/// }
/// ```
#[macro_export]
macro_rules! fuzz {
    ($name:literal, |$input:ident| $target:expr) => {
        $crate::fuzz(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/", $name), |$input: &[u8]| $target)
    };
}

/// Runs `target` over the corpus in `folder`. The macro of the same name supplies the folder.
///
/// # Panics
/// If the target panics. The message contains the smallest input that makes it panic.
pub fn fuzz(folder: &str, target: impl Fn(&[u8])) {
    let corpus = Corpus::read(folder);
    corpus.entries().for_each(&target);
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&corpus.mutations(), |input| {
        target(&input);
        Ok(())
    });
    outcome
        .unwrap_or_else(|failure| panic!("{failure}\nAfter fixing the target, add the input to {folder}."));
}

/// The inputs that a target starts from.
#[derive(Debug, Clone)]
pub struct Corpus(Vec<Vec<u8>>);

/// The most bytes of a changed input.
const MAX_INPUT: usize = 4096;
/// The most changes of one input.
const MAX_EDITS: usize = 6;

impl Corpus {
    /// Reads every file of `folder`, in the order of their names.
    ///
    /// # Panics
    /// If the folder has no readable file. A target without a corpus would try little more than noise.
    pub fn read(folder: impl AsRef<Path>) -> Self {
        let folder = folder.as_ref();
        let files = std::fs::read_dir(folder)
            .unwrap_or_else(|error| panic!("the corpus {} cannot be read: {error}", folder.display()));
        let mut paths: Vec<PathBuf> = files.flatten().map(|file| file.path()).collect();
        paths.sort();
        let entries: Vec<_> = paths.iter().filter_map(|path| std::fs::read(path).ok()).collect();
        assert!(!entries.is_empty(), "the corpus {} has no entry", folder.display());
        Self(entries)
    }

    /// Returns the unchanged entries.
    pub fn entries(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(Vec::as_slice)
    }

    /// Returns entries with up to six changes, at most 4 KiB each.
    fn mutations(&self) -> impl Strategy<Value = Vec<u8>> + use<> {
        let corpus = self.0.clone();
        let entry = proptest::sample::select(self.0.clone());
        (entry, vec(edit(), 1..=MAX_EDITS)).prop_map(move |(mut input, edits)| {
            for edit in edits {
                edit.apply(&mut input, &corpus);
                input.truncate(MAX_INPUT);
            }
            input
        })
    }
}

/// One change of an input. Positions count from the start and wrap around at the end of the input.
#[derive(Debug, Clone)]
enum Edit {
    Flip { at: u16, mask: u8 },
    Insert { at: u16, bytes: Vec<u8> },
    Remove { at: u16, length: u8 },
    Repeat { at: u16, length: u8, times: u8 },
    Cut { at: u16 },
    Splice { entry: u16, at: u16, from: u16 },
    Replace { bytes: Vec<u8> },
}

/// Texts that have a meaning for parsers, or that often break them.
const TOKENS: &[&[u8]] = &[
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b";",
    b"=",
    b"&",
    b"%",
    b"%FF",
    b"%00",
    b"+",
    b"*",
    b"W/",
    b"\\u0000",
    b"\\ud800",
    b"\\",
    b"\0",
    b"\r\n",
    b"\n",
    b" ",
    b"\t",
    b"-1",
    b"0",
    b"1e999",
    b"18446744073709551616",
    b"null",
    b"true",
    b"\xef\xbb\xbf",
    b"\xe2\x80\xae",
    b"\xff\xfe",
    b"\xcc\x88",
    b"../",
    b"__proto__",
    b"$where",
    b"'--",
    b"\x80",
    b"\xff\xff\xff\xff\x0f",
];

fn edit() -> impl Strategy<Value = Edit> {
    let token = proptest::sample::select(TOKENS).prop_map(<[u8]>::to_vec);
    prop_oneof![
        4 => any::<(u16, u8)>().prop_map(|(at, mask)| Edit::Flip { at, mask }),
        4 => (any::<u16>(), token).prop_map(|(at, bytes)| Edit::Insert { at, bytes }),
        2 => (any::<u16>(), vec(any::<u8>(), 0..5)).prop_map(|(at, bytes)| Edit::Insert { at, bytes }),
        2 => any::<(u16, u8)>().prop_map(|(at, length)| Edit::Remove { at, length }),
        2 => (any::<(u16, u8)>(), 0..32u8).prop_map(|((at, length), times)| Edit::Repeat { at, length, times }),
        1 => any::<u16>().prop_map(|at| Edit::Cut { at }),
        2 => any::<(u16, u16, u16)>().prop_map(|(entry, at, from)| Edit::Splice { entry, at, from }),
        1 => vec(any::<u8>(), 0..200).prop_map(|bytes| Edit::Replace { bytes }),
    ]
}

impl Edit {
    fn apply(self, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        // One past the end is a place too: something can be inserted there.
        let place = |at: u16, length: usize| usize::from(at) % (length + 1);
        match self {
            Self::Flip { at, mask } => {
                let at = place(at, input.len());
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= mask;
                }
            }
            Self::Insert { at, bytes } => {
                let at = place(at, input.len());
                input.splice(at..at, bytes);
            }
            Self::Remove { at, length } => {
                let at = place(at, input.len());
                let end = (at + usize::from(length)).min(input.len());
                input.drain(at..end);
            }
            Self::Repeat { at, length, times } => {
                let at = place(at, input.len());
                let end = (at + usize::from(length)).min(input.len());
                let copies = input[at..end].repeat(usize::from(times));
                input.splice(at..at, copies);
            }
            Self::Cut { at } => input.truncate(place(at, input.len())),
            Self::Splice { entry, at, from } => {
                let other = &corpus[usize::from(entry) % corpus.len()];
                input.truncate(place(at, input.len()));
                input.extend_from_slice(&other[place(from, other.len())..]);
            }
            Self::Replace { bytes } => *input = bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn applied(edit: Edit) -> Vec<u8> {
        let corpus = [b"first".to_vec(), b"second".to_vec()];
        let mut input = corpus[0].clone();
        edit.apply(&mut input, &corpus);
        input
    }

    #[test]
    fn every_edit_changes_its_place_and_nothing_else() {
        assert_eq!(applied(Edit::Flip { at: 0, mask: 0x20 }), b"First");
        assert_eq!(applied(Edit::Insert { at: 5, bytes: b"last".to_vec() }), b"firstlast");
        assert_eq!(applied(Edit::Remove { at: 3, length: 200 }), b"fir");
        assert_eq!(applied(Edit::Repeat { at: 0, length: 1, times: 2 }), b"fffirst");
        assert_eq!(applied(Edit::Cut { at: 2 }), b"fi");
        assert_eq!(applied(Edit::Splice { entry: 1, at: 2, from: 3 }), b"fiond");
        assert_eq!(applied(Edit::Replace { bytes: b"new".to_vec() }), b"new");
    }

    #[test]
    fn a_target_meets_every_entry_of_its_corpus_before_any_change_and_no_input_is_long() {
        let seen = RefCell::new(Vec::new());
        crate::fuzz!("example", |input| seen.borrow_mut().push(input.to_vec()));
        let seen = seen.into_inner();
        assert_eq!(seen[..2], [b"one\n".to_vec(), b"two\n".to_vec()]);
        assert!(seen.len() > 100, "{}", seen.len());
        assert!(seen.iter().all(|input| input.len() <= MAX_INPUT));
    }

    #[test]
    fn a_target_that_panics_fails_with_the_smallest_input_that_makes_it() {
        let run = || crate::fuzz!("example", |input| assert!(!input.contains(&b'"'), "a quotation mark"));
        let failure = std::panic::catch_unwind(run).expect_err("it fails");
        let message = failure.downcast_ref::<String>().expect("a message");
        assert!(
            message.contains("a quotation mark") && message.contains("minimal failing input"),
            "{message}"
        );
    }
}
