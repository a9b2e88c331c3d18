//! The bodies of commands, as JSON. A body becomes the message that the section reads; the section checks
//! what is in it.

use kernel::ArticleId;
use proto::news::v1 as messages;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

/// The body of a command on an article.
pub(super) trait CommandBody: DeserializeOwned + Send {
    /// Returns the value of an absent body; `None` if the command needs a body.
    fn absent() -> Option<Self> {
        None
    }

    /// Returns the version that the caller has seen, if the body names it.
    fn version(&self) -> Option<u32> {
        None
    }
}

/// Declares a body with the text of an article, and further fields before it.
macro_rules! text_body {
    ($(#[$doc:meta])* $name:ident { $($further:tt)* }) => {
        $(#[$doc])*
        #[derive(Debug, Deserialize, ToSchema)]
        pub struct $name {
            $($further)*
            /// One line of 1 to 200 characters.
            title: String,
            /// The text, at most 500,000 bytes.
            content: String,
            /// At most 20 tags of 1 to 50 characters.
            #[serde(default)]
            tags: Vec<String>,
            /// The byline, 1 to 50 characters. By default it is the account's name for a new article, and
            /// stays for a new version. An article whose byline was erased accepts the empty byline that was
            /// read.
            #[serde(default)]
            author: Option<String>,
            /// A few sentences for lists.
            #[serde(default)]
            description: Option<String>,
            /// BCP 47 tag of the language. By default it is the section's own for a new article, and stays
            /// for a new version.
            #[serde(default)]
            lang: Option<String>,
            /// Absolute URL of a picture.
            #[serde(default)]
            image: Option<String>,
            /// ISO 3166 code or a continent.
            #[serde(default)]
            region: Option<String>,
        }

        impl From<$name> for messages::ArticleFields {
            fn from(body: $name) -> Self {
                let $name { title, content, tags, author, description, lang, image, region, .. } = body;
                Self { title, content, tags, author, description, lang, image, region }
            }
        }
    };
}

text_body! {
    /// A new article. Its section checks the lengths and answers 422 with a pointer to each field that breaks
    /// a rule.
    DraftBody {}
}

text_body! {
    /// A whole new version. A field that is absent is removed, except byline and language, which stay.
    ReviseBody {
        /// The article. Required if the address does not name it.
        #[serde(default)]
        #[schema(value_type = Option<uuid::Uuid>)]
        pub(super) id: Option<ArticleId>,
        /// The version that the writer has seen. Required if there is no `If-Match`.
        #[serde(default)]
        pub(super) version: Option<u32>,
    }
}

impl CommandBody for ReviseBody {
    fn version(&self) -> Option<u32> {
        self.version
    }
}

/// Declares a body with new values of some fields of an article, and further fields before them. A field that
/// is absent stays. `null` removes a description, image or region.
macro_rules! patch_body {
    ($(#[$doc:meta])* $name:ident { $($further:tt)* }) => {
        $(#[$doc])*
        #[derive(Debug, Default, Deserialize, ToSchema)]
        pub struct $name {
            $($further)*
            /// One line of 1 to 200 characters.
            #[serde(default, deserialize_with = "present")]
            #[schema(value_type = String, required = false)]
            title: Option<String>,
            /// The text, at most 500,000 bytes.
            #[serde(default, deserialize_with = "present")]
            #[schema(value_type = String, required = false)]
            content: Option<String>,
            /// At most 20 tags of 1 to 50 characters. They replace all tags.
            #[serde(default, deserialize_with = "present")]
            #[schema(value_type = Vec<String>, required = false)]
            tags: Option<Vec<String>>,
            /// The byline, 1 to 50 characters. An article whose byline was erased accepts the empty byline
            /// that was read.
            #[serde(default, deserialize_with = "present")]
            #[schema(value_type = String, required = false)]
            author: Option<String>,
            /// A few sentences for lists.
            #[serde(default, deserialize_with = "present_or_null")]
            description: Option<String>,
            /// BCP 47 tag of the language.
            #[serde(default, deserialize_with = "present")]
            #[schema(value_type = String, required = false)]
            lang: Option<String>,
            /// Absolute URL of a picture.
            #[serde(default, deserialize_with = "present_or_null")]
            image: Option<String>,
            /// ISO 3166 code or a continent.
            #[serde(default, deserialize_with = "present_or_null")]
            region: Option<String>,
        }

        impl From<$name> for messages::ArticlePatch {
            fn from(body: $name) -> Self {
                let $name { title, content, tags, author, description, lang, image, region, .. } = body;
                let tags = tags.map(|tags| messages::Tags { tags });
                Self { title, content, tags, author, description, lang, image, region }
            }
        }
    };
}

patch_body! {
    /// New values of some fields. A field that is absent stays. `null` removes a description, image or
    /// region.
    PatchBody {
        /// The version that the writer has seen. Required if there is no `If-Match`.
        #[serde(default)]
        version: Option<u32>,
    }
}

patch_body! {
    /// The changes of an article with its correction. A field that is absent stays. `null` removes a
    /// description, image or region.
    CorrectionPatch {}
}

impl CommandBody for PatchBody {
    fn version(&self) -> Option<u32> {
        self.version
    }
}

/// Reads a field that may be absent but not `null`: every article has one.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Reads a field that `null` removes. In the message an empty text means that.
fn present_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Some(Option::<String>::deserialize(deserializer)?.unwrap_or_default()))
}

/// The body of a command that needs nothing but the version. It may be absent.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct VersionBody {
    /// The version that the caller has seen. Required if there is no `If-Match`.
    #[serde(default)]
    version: Option<u32>,
}

impl CommandBody for VersionBody {
    fn absent() -> Option<Self> {
        Some(Self::default())
    }

    fn version(&self) -> Option<u32> {
        self.version
    }
}
