//! Accounts.

use axum::extract::State;
use axum::response::Response;
use chassis::http::{
    Caller, IdempotencyKey, Json, Links, Path, Precondition, Problem, Query, X_TOTAL_COUNT, mark_replayed,
};
use http::header::LOCATION;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Deserialize;
use utoipa::IntoParams;

use super::answer::{Cache, fresh, private, tagged};
use super::caller::{CurrentUser, LiveSession};
use super::views::{
    BegunErasureView, EraseBody, ErasedView, PatchUserBody, ProfileView, PutUserBody, RegisterBody, UserView,
};
use super::{UserPath, Users};
use crate::app::{EraseUser, IdempotentRequest, ListRange, Register, Registration, UpdateUser};
use crate::domain::User;

/// Registers an account. It can log in as soon as the answer arrives.
#[utoipa::path(post, path = "/", tag = "users", request_body = RegisterBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeated requests with one key create one account within 24 hours, and get one answer.")),
    responses(
    (status = 201, description = "The account. `Idempotency-Replayed: true` if the same request was answered before.", body = UserView),
    (status = 409, description = "`email_taken`; `still_running`: the first request with this key is still in progress."),
    (status = 422, description = "`invalid`: see `errors`; `idempotency_key_reused`."),
    (status = 429, description = "`too_many_attempts` from this address; `Retry-After` says how long to wait."),
    (status = 503, description = "`busy`: too many passwords are being hashed; repeat the request after `Retry-After`."),
))]
pub async fn register(
    State(users): State<Users>,
    Caller { identity, address, .. }: Caller,
    IdempotencyKey(key): IdempotencyKey,
    Json(body): Json<RegisterBody>,
) -> Result<Response, Problem> {
    let command =
        body.values().map(|(name, email, password)| Register { name, email, password, from: address });
    let Some(key) = key else { return Ok(account_created(&users, users.app.register(command?).await?)) };
    let account = identity.map(|identity| identity.user);
    let request = IdempotentRequest { account, from: address, key: &key, content: &body.content() };
    let Registration { user, replayed } = users.app.register_under_key(&request, command).await?;
    let mut response = account_created(&users, user);
    if replayed {
        mark_replayed(&mut response);
    }
    Ok(response)
}

fn account_created(users: &Users, user: User) -> Response {
    let location = format!("{}/{}", users.base, user.id);
    let mut response =
        tagged(StatusCode::CREATED, &user.version.etag(), Cache::Private, UserView::from(user));
    response.headers_mut().extend(HeaderValue::from_str(&location).map(|location| (LOCATION, location)));
    response
}

/// The range of a list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// The number of accounts before the first one.
    #[param(minimum = 0, default = 0)]
    start: Option<i64>,
    /// The number of accounts, 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 10)]
    count: Option<i64>,
}

/// Returns a range of all accounts, in the order of registration.
#[utoipa::path(get, path = "/all", tag = "users", params(ListQuery), security(("bearer" = [])), responses(
    (status = 200, description = "The range. `X-Total-Count` is the number of all accounts, and `Link` names the neighbouring ranges.", body = Vec<UserView>),
    (status = 422, description = "`invalid`: a number is out of its bounds."),
))]
pub async fn list_users(
    State(users): State<Users>,
    _: CurrentUser,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    let range = ListRange::new(query.start.unwrap_or(0), query.count.unwrap_or(ListRange::DEFAULT_COUNT))?;
    let listing = users.app.list(range).await?;
    let views: Vec<UserView> = listing.users.into_iter().map(UserView::from).collect();
    let mut response = private(StatusCode::OK, views);
    response.headers_mut().insert(X_TOTAL_COUNT, HeaderValue::from(listing.total));
    links(&users.base, range, listing.total).set(&mut response);
    Ok(response)
}

/// Returns the links from a range to the ranges beside it.
fn links(base: &str, ListRange { start, count }: ListRange, total: u64) -> Links {
    let range = |start: u32| format!("{base}/all?start={start}&count={count}");
    let last = u32::try_from(total.saturating_sub(1)).unwrap_or(u32::MAX) / count * count;
    let has_next = u64::from(start) + u64::from(count) < total;
    Links::default()
        .with("first", range(0))
        .with_some("prev", (start > 0).then(|| range(start.saturating_sub(count))))
        .with_some("next", has_next.then(|| range(start + count)))
        .with("last", range(last))
}

/// Returns an account: all of it for its owner and admins, the public profile for others.
#[utoipa::path(get, path = "/{id}", tag = "users", params(UserPath), responses(
    (status = 200, description = "The account, for its owner and admins. Others see `id` and `name`, and the `role` of staff.", body = UserView),
    (status = 304, description = "The client already has this version."),
    (status = 404, description = "`not_found`"),
))]
pub async fn get_user(
    State(users): State<Users>,
    Path(UserPath { id }): Path<UserPath>,
    caller: Option<CurrentUser>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let sees_all = caller.as_ref().is_some_and(|caller| caller.sees_all_of(id));
    let user = match caller {
        // The extractor has already loaded the caller's own account.
        Some(CurrentUser { user, .. }) if user.id == id => user,
        _ => users.app.get(id).await?,
    };
    if sees_all {
        return Ok(fresh(&headers, &user.version.etag(), Cache::Private, UserView::from(user)));
    }
    let profile = user.profile();
    // The tag differs from the tag of the whole account, because the answer differs.
    let etag = format!("\"v{}-public\"", profile.version);
    // A name is personal data: no shared cache may show it after an erasure.
    Ok(fresh(&headers, &etag, Cache::Private, ProfileView::from(profile)))
}

/// Returns the caller's own account.
#[utoipa::path(get, path = "/me", tag = "users", security(("bearer" = [])), responses(
    (status = 200, description = "The account.", body = UserView),
    (status = 304, description = "The client already has this version."),
    (status = 401, description = "`unauthenticated`, `invalid_token`"),
))]
pub async fn get_me(CurrentUser { user, .. }: CurrentUser, headers: HeaderMap) -> Result<Response, Problem> {
    Ok(fresh(&headers, &user.version.etag(), Cache::Private, UserView::from(user)))
}

/// Replaces name and e-mail of an account, and its password if the body contains one. A new password ends the
/// other sessions.
#[utoipa::path(put, path = "/{id}", tag = "users", params(UserPath), request_body = PutUserBody, security(("bearer" = [])), responses(
    (status = 200, description = "The changed account.", body = UserView),
    (status = 401, description = "`unauthenticated`; `invalid_token`, also if the session of the token has ended."),
    (status = 403, description = "`role_required`, `wrong_password`"),
    (status = 404, description = "`not_found`"),
    (status = 409, description = "`email_taken`"),
    (status = 412, description = "`stale_version`, with `current_version`"),
    (status = 422, description = "`invalid`: `errors` names the fields."),
    (status = 428, description = "`precondition_required`"),
    (status = 429, description = "`too_many_attempts` to guess the current password; `Retry-After` says how long to wait."),
))]
pub async fn put_user(
    State(users): State<Users>,
    Path(path): Path<UserPath>,
    by: LiveSession,
    precondition: Precondition,
    Json(body): Json<PutUserBody>,
) -> Result<Response, Problem> {
    change(&users, path, by, precondition, body.into()).await
}

/// Changes what is named of an account; the rest stays. With a new password the other sessions end. If
/// nothing is named, nothing changes, and the version stays as well.
#[utoipa::path(patch, path = "/{id}", tag = "users", params(UserPath), request_body = PatchUserBody, security(("bearer" = [])), responses(
    (status = 200, description = "The changed account.", body = UserView),
    (status = 401, description = "`unauthenticated`; `invalid_token`, also if the session of the token has ended."),
    (status = 403, description = "`role_required`, `wrong_password`"),
    (status = 404, description = "`not_found`"),
    (status = 409, description = "`email_taken`"),
    (status = 412, description = "`stale_version`, with `current_version`"),
    (status = 422, description = "`invalid`: `errors` names the fields."),
    (status = 428, description = "`precondition_required`"),
    (status = 429, description = "`too_many_attempts` to guess the current password; `Retry-After` says how long to wait."),
))]
pub async fn patch_user(
    State(users): State<Users>,
    Path(path): Path<UserPath>,
    by: LiveSession,
    precondition: Precondition,
    Json(body): Json<PatchUserBody>,
) -> Result<Response, Problem> {
    change(&users, path, by, precondition, body).await
}

async fn change(
    users: &Users,
    UserPath { id }: UserPath,
    LiveSession { identity: by, origin, .. }: LiveSession,
    precondition: Precondition,
    body: PatchUserBody,
) -> Result<Response, Problem> {
    let expected = precondition.or_version(body.version())?;
    let (patch, current_password) = (body.patch()?, body.current_password());
    let user = users.app.update(UpdateUser { by, id, expected, origin, patch, current_password }).await?;
    Ok(tagged(StatusCode::OK, &user.version.etag(), Cache::Private, UserView::from(user)))
}

/// Erases an account. It is gone from every read immediately, and the other services are notified. `Location`
/// names the erasure, which shows the receipt of each service.
///
/// The session of the token must not have ended. If its login is older than 10 minutes, the body must contain
/// the caller's `current_password`; otherwise the body may be left out.
#[utoipa::path(delete, path = "/{id}", tag = "users", params(UserPath), request_body = Option<EraseBody>, security(("bearer" = [])), responses(
    (status = 202, description = "The erasure has begun.", body = ErasedView),
    (status = 401, description = "`unauthenticated`; `invalid_token`, also if the session of the token has ended."),
    (status = 403, description = "`role_required`; `current_password_required`; `wrong_password`"),
    (status = 404, description = "`not_found`"),
    (status = 409, description = "`last_admin`"),
    (status = 429, description = "`too_many_attempts` to guess the current password; `Retry-After` says how long to wait."),
))]
pub async fn delete_user(
    State(users): State<Users>,
    Path(UserPath { id }): Path<UserPath>,
    LiveSession { identity: by, session, origin }: LiveSession,
    EraseBody { current_password }: EraseBody,
) -> Result<Response, Problem> {
    users.app.erase(EraseUser { id, by, origin, session, current_password }).await?;
    let erasure = BegunErasureView { id, state: "pending" };
    let mut response = private(StatusCode::ACCEPTED, ErasedView { result: "success", erasure });
    let location = HeaderValue::from_str(&format!("{}/erasures/{id}", users.base));
    response.headers_mut().extend(location.map(|location| (LOCATION, location)));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_links_to_the_neighbours_that_exist() {
        let rels = |start, total| {
            let range = ListRange { start, count: 10 };
            let links = links("/users/v1", range, total).to_string();
            links
                .split(", ")
                .map(|link| link.replace("/users/v1/all?", "").replace("&count=10", ""))
                .collect::<Vec<_>>()
        };
        assert_eq!(rels(0, 0), ["<start=0>; rel=\"first\"", "<start=0>; rel=\"last\""]);
        assert_eq!(
            rels(10, 35),
            [
                "<start=0>; rel=\"first\"",
                "<start=0>; rel=\"prev\"",
                "<start=20>; rel=\"next\"",
                "<start=30>; rel=\"last\""
            ]
        );
        assert_eq!(rels(30, 35).len(), 3);
        assert_eq!(rels(5, 35)[1], "<start=0>; rel=\"prev\"");
    }
}
