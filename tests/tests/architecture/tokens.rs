//! Rust sources as tokens, as far as the rules need them.

/// A piece of a source file. Comments, texts, characters and lifetimes are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// A name, a keyword or a number.
    Name(String),
    /// `::`.
    Path,
    /// Any other character.
    Mark(char),
}

impl Token {
    pub fn name(&self) -> Option<&str> {
        match self {
            Token::Name(name) => Some(name),
            _ => None,
        }
    }

    fn is(&self, mark: char) -> bool {
        *self == Token::Mark(mark)
    }
}

/// The tokens of a file without its inline modules of tests, which may use more than the file itself.
pub fn tokens_without_tests(text: &str) -> Vec<Token> {
    let tokens = tokens(text);
    let mut kept = Vec::new();
    let (mut at, mut of_tests) = (0, false);
    while at < tokens.len() {
        let begins_attribute = tokens[at].is('#') && tokens.get(at + 1).is_some_and(|next| next.is('['));
        let begins_module =
            tokens[at].name() == Some("mod") && tokens.get(at + 2).is_some_and(|it| it.is('{'));
        if begins_attribute {
            let end = end_of_block(&tokens, at + 1, '[', ']');
            let names: Vec<_> = tokens[at..end].iter().filter_map(Token::name).collect();
            of_tests |= names.contains(&"cfg") && names.contains(&"test");
            at = end;
        } else if begins_module && of_tests {
            at = end_of_block(&tokens, at + 2, '{', '}');
            of_tests = false;
        } else {
            of_tests &= !(tokens[at].is(';') || tokens[at].is('{') || tokens[at].is('}'));
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// The position behind the block that opens at `start`.
fn end_of_block(tokens: &[Token], start: usize, open: char, close: char) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(start) {
        if token.is(open) {
            depth += 1;
        } else if token.is(close) {
            depth -= 1;
            if depth == 0 {
                return at + 1;
            }
        }
    }
    tokens.len()
}

/// Returns the tokens of a file.
pub fn tokens(text: &str) -> Vec<Token> {
    let characters: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < characters.len() {
        let rest = &characters[at..];
        let skipped = comment(rest).or_else(|| raw_text(rest)).or_else(|| quoted(rest));
        if let Some(length) = skipped {
            at += length;
        } else if rest.starts_with(&[':', ':']) {
            tokens.push(Token::Path);
            at += 2;
        } else if rest[0].is_alphanumeric() || rest[0] == '_' {
            let name: String = rest.iter().take_while(|it| it.is_alphanumeric() || **it == '_').collect();
            at += name.chars().count();
            tokens.push(Token::Name(name));
        } else {
            if !rest[0].is_whitespace() {
                tokens.push(Token::Mark(rest[0]));
            }
            at += 1;
        }
    }
    tokens
}

/// The length of the comment at the beginning, if there is one.
fn comment(rest: &[char]) -> Option<usize> {
    if rest.starts_with(&['/', '/']) {
        return Some(rest.iter().position(|it| *it == '\n').unwrap_or(rest.len()));
    }
    if !rest.starts_with(&['/', '*']) {
        return None;
    }
    let end = rest.windows(2).position(|pair| pair == ['*', '/']);
    Some(end.map_or(rest.len(), |end| end + 2))
}

/// The length of the raw text (`r"…"`, `br#"…"#`) at the beginning, if there is one.
fn raw_text(rest: &[char]) -> Option<usize> {
    let prefix = if rest.starts_with(&['b', 'r']) { 2 } else { usize::from(rest[0] == 'r') };
    let hashes = rest.get(prefix..)?.iter().take_while(|it| **it == '#').count();
    if prefix == 0 || rest.get(prefix + hashes) != Some(&'"') {
        return None;
    }
    let start = prefix + hashes + 1;
    let closing: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let end = rest[start..].windows(closing.len()).position(|part| part == closing);
    Some(end.map_or(rest.len(), |end| start + end + closing.len()))
}

/// The length of the text, character or lifetime at the beginning, if there is one.
fn quoted(rest: &[char]) -> Option<usize> {
    let quote = rest[0];
    if quote == '\'' && rest.get(1) != Some(&'\\') && rest.get(2) != Some(&'\'') {
        let name = rest[1..].iter().take_while(|it| it.is_alphanumeric() || **it == '_').count();
        return Some(1 + name);
    }
    if !['"', '\''].contains(&quote) {
        return None;
    }
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    Some(at + 1)
}
