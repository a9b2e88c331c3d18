use kernel::{ArticleId, FieldFault, Identity, MAX_LIMIT};

use super::verify::RECORDS;
use super::{App, NewsError};
use crate::domain::{Proof, ProofBuilder, ProofPart};

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
        let (_, past) = self.look_back(who, id).await?;
        let mut proof = ProofBuilder::new(past, part);
        let mut after = proof.needed_after();
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
}
