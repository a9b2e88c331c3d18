//! The gateway of the one process, which replaces nginx: the prefixes in both forms, one OpenAPI document for
//! all routes, and the documents about the portal.

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use chassis::Service;
use http::header::{self, HeaderName, HeaderValue};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, Info, OpenApi};

use crate::documents;

/// The maximal size of a link to a successor, in bytes.
const MAX_LINK_BYTES: usize = 2_000;

/// The prefixes of a service.
#[derive(Debug, Clone, Copy)]
struct Mount {
    service: &'static str,
    /// The prefix, such as `/users/v1`.
    base: &'static str,
    /// The older form of the prefix, such as `/v1/users`.
    older: &'static str,
}

/// The rules of all routes, for readers of the document.
const DESCRIPTION: &str = "Users, news of three sections, and recommendations, behind one gateway.\n\n\
    A query parameter that a route does not know is refused with 422 `unknown_parameter`. Names that begin with `_` or `utm_` are \
    ignored. A fault in a query is answered with 422, and `errors` names the parameter. A query that is not UTF-8 is answered with \
    400.\n\n\
    A problem names at most 64 faults, and repeats at most 200 characters of each value.\n\n\
    Ids are UUIDs in their canonical spelling. `If-Match` also accepts tags with the suffix that a compressing proxy adds, such as \
    `\"v4-gzip\"`.";

const MOUNTS: [Mount; 3] = [
    Mount { service: "users", base: "/users/v1", older: "/v1/users" },
    Mount { service: "orchestrator", base: "/news/v1", older: "/v1/news" },
    Mount { service: "recommendations", base: "/recommendation/v1", older: "/v1/recommendation" },
];

/// The date since which the older form is deprecated (RFC 9745): 1 January 2026.
const DEPRECATED: HeaderValue = HeaderValue::from_static("@1767225600");
const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");

/// Returns the router of everything that is public.
///
/// # Errors
/// If the document can't be written as JSON, which is a defect.
pub fn router(services: &[Service]) -> anyhow::Result<Router> {
    let mut router = Router::new();
    for mount in MOUNTS {
        let Some(service) = services.iter().find(|service| service.name == mount.service) else { continue };
        let older =
            service.http.clone().layer(from_fn(move |request, next| link_successor(mount, request, next)));
        // `nest` would answer 404 to a path that ends with the prefix and a slash.
        router = router.nest_service(mount.base, service.http.clone()).nest_service(mount.older, older);
    }
    Ok(router.merge(documents::router(documents::all(&document(services), documents::ASYNCAPI)?)))
}

/// Adds the link to the successor to every answer of an older path.
async fn link_successor(mount: Mount, request: Request, next: Next) -> Response {
    // The inner router sees the path without the prefix. The query is part of the address.
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let mut response = next.run(request).await;
    response.headers_mut().insert(DEPRECATION, DEPRECATED);
    let link = format!("<{}{path}>; rel=\"successor-version\"", mount.base);
    // An answer must not grow with the address of the request.
    if let Ok(link) = HeaderValue::from_str(&link)
        && link.len() <= MAX_LINK_BYTES
    {
        response.headers_mut().append(header::LINK, link);
    }
    response
}

/// Returns one document for all routes, with their public paths.
pub fn document(services: &[Service]) -> OpenApi {
    let mut info = Info::new("News portal", env!("CARGO_PKG_VERSION"));
    info.description = Some(DESCRIPTION.to_owned());
    let mut all = OpenApi::new(info, utoipa::openapi::Paths::new());
    for mount in MOUNTS {
        if let Some(service) = services.iter().find(|service| service.name == mount.service) {
            all = all.nest(mount.base, service.doc.clone());
        }
    }
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
    all.components
        .get_or_insert_with(Components::new)
        .add_security_scheme("bearer", SecurityScheme::Http(bearer));
    all
}
