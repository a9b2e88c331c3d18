//! Recommendations, played: what it says about a reader's taste.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use chassis::transport::{grpc_edge, status_of};
use kernel::{Refusal, UserId};
use proto::recommendations::v1::recommendations_server::{Recommendations as Service, RecommendationsServer};
use proto::recommendations::v1::{GetTasteRequest, GetTasteResponse, Taste};
use tonic::{Request, Response, Status};

/// How it behaves.
#[derive(Debug, Clone, Default)]
pub enum Mood {
    /// It answers.
    #[default]
    Well,
    /// It refuses everything with this.
    Refusing(Refusal),
    /// It refuses the next question with this, and answers from then on.
    RefusingOnce(Refusal),
    /// It never answers.
    Silent,
}

#[derive(Default)]
struct Inner {
    mood: Mood,
    tastes: HashMap<String, Vec<Taste>>,
    asked: Vec<GetTasteRequest>,
    given_up: usize,
}

/// The neighbour `recommendations`.
#[derive(Clone, Default)]
pub struct Recommendations(Arc<Mutex<Inner>>);

struct Guard<'a>(&'a Recommendations);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.inner().given_up += 1;
    }
}

impl Recommendations {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("no test panics while it holds the lock")
    }

    /// Its gRPC services, behind the edge that every server has.
    pub fn routes(&self) -> tonic::service::Routes {
        grpc_edge("recommendations", tonic::service::Routes::new(RecommendationsServer::new(self.clone())))
    }

    /// From now on it says this about a reader: label, weight, readings.
    pub fn knows(&self, reader: UserId, tastes: &[(&str, f64, u32)]) {
        let told = tastes.iter().map(|(label, weight, reads)| Taste {
            label: (*label).to_owned(),
            weight: *weight,
            reads: *reads,
            last_read_at_ms: 1000,
        });
        self.inner().tastes.insert(reader.to_string(), told.collect());
    }

    /// From now on it behaves like this.
    pub fn is(&self, mood: Mood) {
        self.inner().mood = mood;
    }

    /// Every question so far.
    pub fn asked(&self) -> Vec<GetTasteRequest> {
        self.inner().asked.clone()
    }

    /// How many questions were given up by whoever asked.
    pub fn given_up(&self) -> usize {
        self.inner().given_up
    }
}

#[tonic::async_trait]
impl Service for Recommendations {
    async fn get_taste(
        &self,
        request: Request<GetTasteRequest>,
    ) -> Result<Response<GetTasteResponse>, Status> {
        let request = request.into_inner();
        let mood = {
            let mut inner = self.inner();
            inner.asked.push(request.clone());
            let mood = inner.mood.clone();
            if matches!(mood, Mood::RefusingOnce(_)) {
                inner.mood = Mood::Well;
            }
            mood
        };
        match mood {
            Mood::Well => {}
            Mood::Refusing(refusal) | Mood::RefusingOnce(refusal) => return Err(status_of(&refusal)),
            Mood::Silent => {
                let _guard = Guard(self);
                std::future::pending::<()>().await;
            }
        }
        let mut tastes = self.inner().tastes.get(&request.user_id).cloned().unwrap_or_default();
        tastes.truncate(request.limit as usize);
        Ok(Response::new(GetTasteResponse { tastes }))
    }
}
