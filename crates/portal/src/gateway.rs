//! The gateway of the one process: what nginx is to the fleet. Prefixes in both forms, one document for all
//! routes, and what the portal shows about itself.

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use chassis::Service;
use http::header::{self, HeaderName, HeaderValue};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, Info, OpenApi};

use crate::documents;

/// The most bytes of a link to a successor.
const LONGEST_LINK: usize = 2_000;

/// A service's place behind the gateway.
#[derive(Debug, Clone, Copy)]
struct Mount {
    service: &'static str,
    /// `/users/v1`.
    base: &'static str,
    /// The original's older form: `/v1/users`.
    older: &'static str,
}

/// What holds for all routes, for readers of the document.
const DESCRIPTION: &str = "Users, news of three sections, and recommendations, behind one gateway.\n\n\
    A query parameter that a route does not know is refused with 422 `unknown_parameter`; names that begin with `_` or `utm_` are \
    ignored. Every fault of a query is 422 and names its parameter in `errors`; a query that is not UTF-8 is 400.\n\n\
    No problem grows with its request: it names at most 64 faults, and cuts what it repeats at 200 characters.\n\n\
    Ids are UUIDs in their canonical spelling. An `If-Match` may carry what a compressing proxy has added to a tag, as in `\"v4-gzip\"`.";

const MOUNTS: [Mount; 3] = [
    Mount { service: "users", base: "/users/v1", older: "/v1/users" },
    Mount { service: "orchestrator", base: "/news/v1", older: "/v1/news" },
    Mount { service: "recommendations", base: "/recommendation/v1", older: "/v1/recommendation" },
];

/// When the older form became deprecated (RFC 9745): 1 January 2026.
const DEPRECATED: HeaderValue = HeaderValue::from_static("@1767225600");
const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");

/// One router for everything that is public.
///
/// # Errors
/// Where the document is no JSON, which is a defect.
pub fn router(services: &[Service]) -> anyhow::Result<Router> {
    let mut router = Router::new();
    for mount in MOUNTS {
        let Some(service) = services.iter().find(|service| service.name == mount.service) else { continue };
        let older = service.http.clone().layer(from_fn(move |request, next| successor(mount, request, next)));
        // `nest` would answer 404 to a path that ends with the prefix and a slash.
        router = router.nest_service(mount.base, service.http.clone()).nest_service(mount.older, older);
    }
    Ok(router.merge(documents::router(documents::all(&document(services), documents::ASYNCAPI)?)))
}

/// Says on every answer to an older path where its successor is.
async fn successor(mount: Mount, request: Request, next: Next) -> Response {
    // The inner router sees the bare path; the query belongs to the resource's address as well.
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let mut response = next.run(request).await;
    response.headers_mut().insert(DEPRECATION, DEPRECATED);
    let link = format!("<{}{path}>; rel=\"successor-version\"", mount.base);
    // No answer grows with the address that was asked.
    if let Ok(link) = HeaderValue::from_str(&link)
        && link.len() <= LONGEST_LINK
    {
        response.headers_mut().append(header::LINK, link);
    }
    response
}

/// One document for all routes, by their public paths.
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
