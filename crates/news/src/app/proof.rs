use kernel::{ArticleId, FieldFault, Identity, MAX_LIMIT, Version};

use super::{App, NewsError};
use crate::domain::{Proof, ProofBuilder, ProofPart, VisibleVersions, is_guessable};

/// The most records in memory at a time. Each can have half a megabyte of text.
const RECORDS: u32 = 4;

impl App {
    /// Returns a page of the proof of an article's history, as far as the caller may see it: the links of its
    /// hash chain, the oldest first.
    ///
    /// # Errors
    /// Fails if the caller may not see the article, or if the limit is outside its range.
    pub async fn proof(
        &self,
        who: Option<&Identity>,
        id: ArticleId,
        part: ProofPart,
    ) -> Result<Proof, NewsError> {
        if !(1..=MAX_LIMIT).contains(&part.limit) {
            let why = format!("must be between 1 and {MAX_LIMIT}, got {}", part.limit);
            return Err(NewsError::Invalid(vec![FieldFault::new("/limit", "out_of_range", why)]));
        }
        let (now, past) = self.look_back(who, id).await?;
        let mut after = part.after.map(|after| after.min(now.version));
        let mut proof = ProofBuilder::new(past, part, self.is_guessable(id, past, after).await?);
        while !proof.is_complete() {
            let links = self.events.links(id, after, RECORDS).await?;
            let is_last = links.len() < RECORDS as usize;
            for link in links {
                after = Some(link.version);
                proof.add(link);
            }
            if is_last {
                break;
            }
        }
        Ok(proof.build())
    }

    /// Returns whether the hash of a version could confirm a guess of a text that the caller may not see. The
    /// last hidden version decides, so it looks back until it finds one.
    async fn is_guessable(
        &self,
        id: ArticleId,
        past: VisibleVersions,
        version: Option<Version>,
    ) -> Result<bool, NewsError> {
        let mut last = version.map_or(0, Version::number);
        while past != VisibleVersions::All && last > 0 {
            let before = last.saturating_sub(RECORDS);
            let links = self.events.links(id, Some(Version::new(before)), last - before).await?;
            if let Some(decided) = links.iter().rev().find_map(|link| is_guessable(past, link)) {
                return Ok(decided);
            }
            last = before;
        }
        Ok(false)
    }
}
