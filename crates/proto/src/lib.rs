#![doc = include_str!("../README.md")]
#![allow(
    missing_docs,
    clippy::all,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::too_many_lines,
    reason = "generated code has the comments of the .proto files, and a style of its own"
)]

/// Accounts: the gRPC service and the published events.
pub mod users {
    pub mod v1 {
        tonic::include_proto!("portal.users.v1");
    }
}

/// News: the calls on the bus, and the events of each section.
pub mod news {
    pub mod v1 {
        tonic::include_proto!("portal.news.v1");
    }
}

/// Recommendations: the gRPC service.
pub mod recommendations {
    pub mod v1 {
        tonic::include_proto!("portal.recommendations.v1");
    }
}

/// Events that are not published by the owner of the data: a reader read an article.
pub mod events {
    pub mod v1 {
        tonic::include_proto!("portal.events.v1");
    }
}

/// Erasures: the receipts of the services that store something about people.
pub mod erasures {
    pub mod v1 {
        tonic::include_proto!("portal.erasures.v1");
    }
}

/// Exports: what a service stores about a person.
pub mod exports {
    pub mod v1 {
        tonic::include_proto!("portal.exports.v1");
    }
}

/// The descriptors of all messages, which a golden test compares.
pub const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));
