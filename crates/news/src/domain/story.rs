use kernel::{FieldFault, Label, TextError, line, multiline};

/// The most bytes of an article's text (500 kB).
pub const MAX_CONTENT_BYTES: usize = 500_000;

const MAX_TITLE: usize = 200;
const MAX_TAGS: usize = 20;
const MAX_DESCRIPTION: usize = 1_000;
const MAX_IMAGE: usize = 2_000;

/// The text of an article: everything that its author writes, except the byline. It is kept exactly as given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    /// One line of 1 to 200 characters.
    pub title: String,
    /// Up to 1,000 characters for lists and feeds.
    pub description: Option<String>,
    /// 1 to 500,000 bytes.
    pub content: String,
    /// At most 20 labels, in the author's order.
    pub tags: Vec<Label>,
    /// BCP 47 tag of the language.
    pub lang: Option<String>,
    /// Absolute http(s) URL of a picture.
    pub image: Option<String>,
    /// ISO 3166 code or the name of a continent.
    pub region: Option<String>,
}

/// A story and its byline as a client sent them. Nothing in it is checked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoryInput {
    /// See [`Story::title`].
    pub title: String,
    /// See [`Story::description`]; empty means absent.
    pub description: Option<String>,
    /// See [`Story::content`].
    pub content: String,
    /// See [`Story::tags`].
    pub tags: Vec<String>,
    /// See [`Story::lang`]; empty means absent.
    pub lang: Option<String>,
    /// See [`Story::image`]; empty means absent.
    pub image: Option<String>,
    /// See [`Story::region`]; empty means absent.
    pub region: Option<String>,
    /// The byline. Absent: the account's name on creation, unchanged on revision.
    pub byline: Option<String>,
}

/// Some fields of a story, and its byline, as a client sent them. A field that is absent stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoryPatch {
    /// See [`Story::title`].
    pub title: Option<String>,
    /// See [`Story::description`]; empty removes it.
    pub description: Option<String>,
    /// See [`Story::content`].
    pub content: Option<String>,
    /// Replaces all tags.
    pub tags: Option<Vec<String>>,
    /// See [`Story::lang`]; empty removes it.
    pub lang: Option<String>,
    /// See [`Story::image`]; empty removes it.
    pub image: Option<String>,
    /// See [`Story::region`]; empty removes it.
    pub region: Option<String>,
    /// The byline.
    pub byline: Option<String>,
}

impl Story {
    /// Checks all fields except the byline. An author learns every fault from one answer.
    ///
    /// # Errors
    /// All faults, in the order of the fields.
    pub fn parse(input: StoryInput) -> Result<Self, Vec<FieldFault>> {
        let mut faults = Faults(Vec::new());
        faults.check("/title", line(&input.title, MAX_TITLE));
        faults.content(&input.content);
        let tags = faults.tags(&input.tags);
        let story = Story {
            description: present(input.description),
            lang: present(input.lang),
            image: present(input.image),
            region: present(input.region),
            title: input.title,
            content: input.content,
            tags,
        };
        if let Some(description) = &story.description {
            faults.check("/description", multiline(description, MAX_DESCRIPTION));
        }
        faults.refuse_unless(
            &story.lang,
            "/lang",
            "language",
            "must be a language tag such as en or pt-BR",
            is_language,
        );
        faults.refuse_unless(
            &story.image,
            "/image",
            "url",
            "must be an absolute http or https URL",
            is_web_url,
        );
        faults.refuse_unless(
            &story.region,
            "/region",
            "region",
            "must be a country code or a continent",
            |text| is_tag(text, 20),
        );
        if faults.0.is_empty() { Ok(story) } else { Err(faults.0) }
    }

    /// Returns the story as a client would send it, without a byline.
    pub fn to_input(&self) -> StoryInput {
        StoryInput {
            title: self.title.clone(),
            description: self.description.clone(),
            content: self.content.clone(),
            tags: self.tags.iter().map(|tag| tag.as_str().to_owned()).collect(),
            lang: self.lang.clone(),
            image: self.image.clone(),
            region: self.region.clone(),
            byline: None,
        }
    }

    /// Returns this story with some fields replaced, checked as a whole.
    ///
    /// # Errors
    /// All faults, in the order of the fields.
    pub fn apply(&self, patch: StoryPatch) -> Result<Self, Vec<FieldFault>> {
        let now = self.to_input();
        Story::parse(StoryInput {
            title: patch.title.unwrap_or(now.title),
            description: patch.description.or(now.description),
            content: patch.content.unwrap_or(now.content),
            tags: patch.tags.unwrap_or(now.tags),
            lang: patch.lang.or(now.lang),
            image: patch.image.or(now.image),
            region: patch.region.or(now.region),
            byline: None,
        })
    }
}

fn present(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

/// True if the text has the form of a BCP 47 tag.
pub fn is_language(text: &str) -> bool {
    is_tag(text, 35)
}

/// True for subtags of letters and digits, as in BCP 47 and in the names of regions. The tag need not be
/// registered.
fn is_tag(text: &str, max: usize) -> bool {
    let subtag = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    text.len() >= 2 && text.len() <= max && text.split(['-', '_']).all(subtag)
}

fn is_web_url(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host = host.is_some_and(|rest| rest.starts_with(|c: char| c.is_alphanumeric() || c == '['));
    host && line(text, MAX_IMAGE).is_ok() && !text.contains(char::is_whitespace)
}

struct Faults(Vec<FieldFault>);

impl Faults {
    fn push(&mut self, pointer: &str, code: &'static str, detail: impl Into<String>) {
        self.0.push(FieldFault::new(pointer, code, detail));
    }

    fn check(&mut self, pointer: &str, result: Result<(), TextError>) {
        if let Err(error) = result {
            self.push(pointer, error.code(), error.to_string());
        }
    }

    fn content(&mut self, content: &str) {
        if content.len() > MAX_CONTENT_BYTES {
            self.push("/content", "too_long", format!("must have at most {MAX_CONTENT_BYTES} bytes"));
        } else {
            // The limit in bytes bounds the characters too. Only emptiness and control characters are left to
            // check.
            self.check("/content", multiline(content, MAX_CONTENT_BYTES));
        }
    }

    fn tags(&mut self, tags: &[String]) -> Vec<Label> {
        if tags.len() > MAX_TAGS {
            self.push("/tags", "too_many", format!("must have at most {MAX_TAGS} tags"));
            return Vec::new();
        }
        let mut labels = Vec::with_capacity(tags.len());
        for (index, tag) in tags.iter().enumerate() {
            match Label::parse(tag) {
                Ok(label) => labels.push(label),
                Err(error) => self.push(&format!("/tags/{index}"), error.code(), error.to_string()),
            }
        }
        labels
    }

    fn refuse_unless(
        &mut self,
        text: &Option<String>,
        pointer: &str,
        code: &'static str,
        detail: &str,
        holds: impl Fn(&str) -> bool,
    ) {
        if text.as_deref().is_some_and(|text| !holds(text)) {
            self.push(pointer, code, detail);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn valid() -> StoryInput {
        StoryInput {
            title: "The budget passes".to_owned(),
            content: "After a long night.\n".to_owned(),
            tags: vec!["budget".to_owned()],
            ..StoryInput::default()
        }
    }

    fn pointers(input: StoryInput) -> Vec<(String, String)> {
        let faults = Story::parse(input).expect_err("it breaks a rule");
        faults.into_iter().map(|fault| (fault.pointer, fault.code.as_str().to_owned())).collect()
    }

    fn pair(pointer: &str, code: &str) -> (String, String) {
        (pointer.to_owned(), code.to_owned())
    }

    #[test]
    fn every_fault_is_named_together() {
        let faults = pointers(StoryInput {
            title: String::new(),
            description: Some("a\u{0}b".to_owned()),
            content: "x".repeat(MAX_CONTENT_BYTES + 1),
            tags: vec!["fine".to_owned(), " ".to_owned(), "x".repeat(51)],
            lang: Some("a language".to_owned()),
            image: Some("javascript:alert(1)".to_owned()),
            region: Some("?".to_owned()),
            byline: None,
        });
        assert_eq!(
            faults,
            [
                pair("/title", "empty"),
                pair("/content", "too_long"),
                pair("/tags/1", "empty"),
                pair("/tags/2", "too_long"),
                pair("/description", "control_character"),
                pair("/lang", "language"),
                pair("/image", "url"),
                pair("/region", "region"),
            ]
        );
    }

    #[test]
    fn the_limits_themselves_are_accepted() {
        let story = StoryInput {
            title: "Ä".repeat(200),
            content: "x".repeat(MAX_CONTENT_BYTES),
            tags: vec!["Ö".repeat(50); 20],
            ..valid()
        };
        assert!(Story::parse(story.clone()).is_ok());
        assert_eq!(pointers(StoryInput { title: "Ä".repeat(201), ..valid() }), [pair("/title", "too_long")]);
        assert_eq!(
            pointers(StoryInput { tags: vec!["a".to_owned(); 21], ..valid() }),
            [pair("/tags", "too_many")]
        );
        // 500,000 bytes, not characters.
        let content = "Ä".repeat(MAX_CONTENT_BYTES / 2 + 1);
        assert_eq!(pointers(StoryInput { content, ..valid() }), [pair("/content", "too_long")]);
    }

    #[test]
    fn a_patch_replaces_the_fields_that_it_names_and_an_empty_text_removes_one() {
        let story = Story::parse(StoryInput { description: Some("short".to_owned()), ..valid() });
        let story = story.expect("a valid story");
        let patch = StoryPatch {
            title: Some("New".to_owned()),
            description: Some(String::new()),
            ..StoryPatch::default()
        };
        let patched = story.apply(patch).expect("a valid patch");
        assert_eq!(patched, Story { title: "New".to_owned(), description: None, ..story });
    }

    proptest! {
        #[test]
        fn an_accepted_story_is_kept_exactly_as_given(
            title in any::<String>(),
            content in any::<String>(),
            tags in proptest::collection::vec(any::<String>(), 0..22),
        ) {
            let input = StoryInput { title, content, tags, ..StoryInput::default() };
            if let Ok(story) = Story::parse(input.clone()) {
                prop_assert_eq!(story.to_input(), input);
            }
        }
    }
}
