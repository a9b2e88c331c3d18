//! A fake of recommendations: the labels that readers like.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use chassis::transport::{grpc_edge, status_of};
use kernel::{Refusal, UserId};
use proto::recommendations::v1::recommendations_server::{Recommendations as Service, RecommendationsServer};
use proto::recommendations::v1::{GetTasteRequest, GetTasteResponse, Taste};
use tonic::{Request, Response, Status};

/// The behaviour of the fake.
#[derive(Debug, Clone, Default)]
pub enum Behaviour {
    /// It answers.
    #[default]
    Answer,
    /// It refuses every call with this refusal.
    Refuse(Refusal),
    /// It refuses the next call with this refusal, and then answers.
    RefuseOnce(Refusal),
    /// It never answers.
    Hang,
}

#[derive(Default)]
struct Inner {
    behaviour: Behaviour,
    tastes: HashMap<String, Vec<Taste>>,
    calls: Vec<GetTasteRequest>,
    cancelled_calls: usize,
}

/// The fake of recommendations.
#[derive(Clone, Default)]
pub struct FakeRecommendations(Arc<Mutex<Inner>>);

struct CountOnDrop<'a>(&'a FakeRecommendations);

impl Drop for CountOnDrop<'_> {
    fn drop(&mut self) {
        self.0.inner().cancelled_calls += 1;
    }
}

impl FakeRecommendations {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("no test panics while it holds the lock")
    }

    /// Returns its gRPC services, behind the edge that every server has.
    pub fn routes(&self) -> tonic::service::Routes {
        grpc_edge("recommendations", tonic::service::Routes::new(RecommendationsServer::new(self.clone())))
    }

    /// Sets the labels of a reader: label, weight, readings.
    pub fn set_labels(&self, reader: UserId, tastes: &[(&str, f64, u32)]) {
        let tastes_of_reader = tastes.iter().map(|(label, weight, reads)| Taste {
            label: (*label).to_owned(),
            weight: *weight,
            reads: *reads,
            last_read_at_ms: 1000,
        });
        self.inner().tastes.insert(reader.to_string(), tastes_of_reader.collect());
    }

    /// Sets the behaviour.
    pub fn behave(&self, behaviour: Behaviour) {
        self.inner().behaviour = behaviour;
    }

    /// Returns all calls so far.
    pub fn calls(&self) -> Vec<GetTasteRequest> {
        self.inner().calls.clone()
    }

    /// Returns the number of calls that the caller cancelled.
    pub fn cancelled_calls(&self) -> usize {
        self.inner().cancelled_calls
    }
}

#[tonic::async_trait]
impl Service for FakeRecommendations {
    async fn get_taste(
        &self,
        request: Request<GetTasteRequest>,
    ) -> Result<Response<GetTasteResponse>, Status> {
        let request = request.into_inner();
        let behaviour = {
            let mut inner = self.inner();
            inner.calls.push(request.clone());
            let behaviour = inner.behaviour.clone();
            if matches!(behaviour, Behaviour::RefuseOnce(_)) {
                inner.behaviour = Behaviour::Answer;
            }
            behaviour
        };
        match behaviour {
            Behaviour::Answer => {}
            Behaviour::Refuse(refusal) | Behaviour::RefuseOnce(refusal) => return Err(status_of(&refusal)),
            Behaviour::Hang => {
                let _guard = CountOnDrop(self);
                std::future::pending::<()>().await;
            }
        }
        let mut tastes = self.inner().tastes.get(&request.user_id).cloned().unwrap_or_default();
        tastes.truncate(request.limit as usize);
        Ok(Response::new(GetTasteResponse { tastes }))
    }
}
