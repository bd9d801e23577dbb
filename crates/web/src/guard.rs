//! Who comes, and whether he may; and what every answer says to browsers.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use envelope::Language;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use link::services::directory::visits::{Ask, Key, Origin, Scope, Standing, Token};

use crate::house::House;
use crate::routes::Who;
use crate::trouble::Trouble;
use crate::visitor::Visitor;
use crate::words::{self, Words};
use crate::{Connection, api, form};

/// The cookie of a session.
const SESSION: &str = "__Host-session";
/// The cookie of somebody who has none: what binds the sign-in form to his browser.
const GUEST: &str = "__Host-guest";
/// The cookie of a language that somebody chose who has no session.
const LANGUAGE: &str = "__Host-language";
/// The cookie of a one-time link that is being taken up.
const LINK: &str = "__Host-link";
/// Octets of a form or of a request to the API.
const BODY_MAX: usize = 256 << 10;
/// Characters of a browser's own name that are kept.
const AGENT_MAX: usize = 200;
/// How long a body may take to come.
const BODY_PATIENCE: Duration = Duration::from_secs(30);

/// Lets a request in to its route, if it may.
pub(crate) async fn admit(
    State((house, who)): State<(Arc<House>, Who)>,
    request: Request,
    next: Next,
) -> Response {
    let (mut visitor, mut new_guest) = visitor(&house, &request);
    if who == Who::MailProgram {
        (visitor.key, new_guest) = (None, None);
    }
    let outcome = admitted(who, &mut visitor, request, next).await;
    answer(outcome, &visitor, new_guest)
}

async fn admitted(
    who: Who,
    visitor: &mut Visitor,
    request: Request,
    next: Next,
) -> Result<Response, Trouble> {
    let (parts, body) = request.into_parts();
    let writes = parts.method != Method::GET && parts.method != Method::HEAD;
    // What browsers send along unasked, cookies, does not count for programs: so nobody can make them send it.
    let is_form = writes && !visitor.is_program() && who != Who::MailProgram;
    if is_form && is_from_elsewhere(&parts.headers) {
        return Err(Trouble::ForeignForm);
    }
    if visitor.is_program() && !api::takes_json(&parts.headers) {
        return Err(Trouble::NotAcceptable);
    }
    // What is for anybody is for a program too whose token has ended.
    if who != Who::Anybody || !visitor.is_program() {
        recognise(visitor).await?;
    }
    let allowed = match (who, &visitor.standing) {
        (Who::Anybody | Who::MailProgram, _) => Ok(()),
        (_, None) => Err(Trouble::SignIn),
        (Who::Member | Who::Operator, Some(standing)) if standing.must_enrol && !enrols(parts.uri.path()) => {
            Err(Trouble::Enrol)
        }
        (Who::Operator | Who::OperatorToken, Some(standing)) if !standing.operates => {
            Err(if standing.operator { Trouble::NotOperating } else { Trouble::Forbidden })
        }
        // The directory refuses it too; but he should not hear first what is wrong with his request.
        (Who::Token, Some(standing)) if writes && standing.scope == Some(Scope::Read) => {
            Err(Trouble::Forbidden)
        }
        (_, Some(_)) => Ok(()),
    };
    allowed?;
    let body = received(body).await?;
    if is_form && !form::field(&body, "csrf").is_some_and(|sent| visitor.sent_by_us(&sent)) {
        return Err(Trouble::StaleForm);
    }
    let mut request = Request::from_parts(parts, Body::from(body));
    request.extensions_mut().insert(visitor.clone());
    Ok(next.run(request).await)
}

/// Has the directory say whose key it is.
async fn recognise(visitor: &mut Visitor) -> Result<(), Trouble> {
    if visitor.key.is_none() {
        return Ok(());
    }
    match visitor.visit(Ask::Standing).await {
        Ok(answer) => {
            let standing: Standing = crate::visitor::standing(answer)?;
            visitor.words = Words(standing.language);
            visitor.standing = Some(standing);
            Ok(())
        }
        // A session that has ended is none; a program is told that its token is none.
        Err(Trouble::SignIn) if !visitor.is_program() => {
            visitor.key = None;
            Ok(())
        }
        Err(trouble) => Err(trouble),
    }
}

/// The whole body, if it is not too large and comes in time.
async fn received(body: Body) -> Result<Bytes, Trouble> {
    match tokio::time::timeout(BODY_PATIENCE, Limited::new(body, BODY_MAX).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Trouble::TooLarge),
        Ok(Err(_)) => Err(Trouble::Unreadable("the body does not come whole".into())),
        Err(_) => Err(Trouble::TooSlow),
    }
}

/// What is answered: whatever went wrong, here or in a handler, is told in the visitor's language.
fn answer(outcome: Result<Response, Trouble>, visitor: &Visitor, new_guest: Option<Token>) -> Response {
    let mut response = outcome.unwrap_or_else(Trouble::into_response);
    if let Some(trouble) = response.extensions_mut().remove::<Trouble>() {
        response = if visitor.is_program() { trouble.as_json(visitor) } else { trouble.as_page(visitor) };
    }
    if let Some(guest) = new_guest {
        set_cookie(&mut response, GUEST, &guest.reveal(), None);
    }
    response
}

/// There is no such page.
pub(crate) async fn nowhere(State(house): State<Arc<House>>, request: Request) -> Response {
    turned_away(visitor(&house, &request), Trouble::NotFound).await
}

/// The page is there, but does not take this method.
pub(crate) async fn other_method(State(house): State<Arc<House>>, request: Request) -> Response {
    turned_away(visitor(&house, &request), Trouble::OtherMethod).await
}

/// Nothing is done, so nothing is asked of whoever comes.
async fn turned_away((mut visitor, new_guest): (Visitor, Option<Token>), trouble: Trouble) -> Response {
    let outcome = match visitor.is_program() {
        true => Err(trouble),
        // Who has signed in sees his own frame round it.
        false => recognise(&mut visitor).await.and(Err(trouble)),
    };
    answer(outcome, &visitor, new_guest)
}

/// The pages on which a second factor is set up.
fn enrols(path: &str) -> bool {
    path.starts_with("/second-factor") || path == "/sign-out" || path == "/language"
}

/// Who comes, before the directory was asked; and the cookie that he is given if he has none.
fn visitor(house: &Arc<House>, request: &Request) -> (Visitor, Option<Token>) {
    let headers = request.headers();
    let program = api::is_below(request.uri().path());
    let site = house.site();
    let connection = request.extensions().get::<Connection>().copied();
    let connection = connection.unwrap_or(Connection { peer: IpAddr::from([0, 0, 0, 0]), encrypted: false });
    let client = client(&site.trusted_proxies, connection.peer, headers);
    let agent = text(headers, header::USER_AGENT).unwrap_or_default().chars().take(AGENT_MAX).collect();
    let chosen = match cookie(headers, LANGUAGE) {
        Some("ja") => Some(Language::Ja),
        Some("en") => Some(Language::En),
        _ => None,
    };
    let language = chosen.unwrap_or_else(|| words::accepted(text(headers, header::ACCEPT_LANGUAGE)));
    let token = |name| cookie(headers, name).and_then(|value| value.parse::<Token>().ok());
    let session = token(SESSION);
    let (bound_to, new_guest) = match (session.clone(), token(GUEST)) {
        (Some(session), _) => (session, None),
        (None, Some(guest)) => (guest, None),
        (None, None) => {
            let guest = Token::new(rand::random());
            (guest.clone(), (!program).then_some(guest))
        }
    };
    let key = if program { bearer(headers).map(Key::Api) } else { session.map(Key::Session) };
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let visitor = Visitor {
        house: Arc::clone(house),
        origin: Origin { client, agent },
        key,
        standing: None,
        words: Words(language),
        path,
        bound_to,
    };
    (visitor, new_guest)
}

fn bearer(headers: &HeaderMap) -> Option<Token> {
    let (scheme, token) = text(headers, header::AUTHORIZATION)?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().parse().ok())?
}

/// The client's address: the last one that a proxy which is believed did not add itself.
fn client(trusted: &[envelope::Network], peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let believed = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut client = peer.to_canonical();
    if !believed(client) {
        return client;
    }
    let said = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let hops: Vec<&str> = said.flat_map(|value| value.split(',')).map(str::trim).collect();
    for hop in hops.into_iter().rev() {
        let Ok(address) = hop.parse::<IpAddr>() else { break };
        client = address.to_canonical();
        if !believed(client) {
            break;
        }
    }
    client
}

/// Whether a browser says that another site made it send this (Fetch Metadata; Origin, RFC 6454).
fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    // What cannot be read was sent by nobody's browser of ours.
    if let Some(site) = headers.get("sec-fetch-site") {
        return site != "same-origin" && site != "none";
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return false };
    let from = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    from.is_none() || from != text(headers, header::HOST)
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(found, value)| (found == name).then_some(value))
}

fn set_cookie(response: &mut Response, name: &str, value: &str, seconds: Option<u64>) {
    let age = seconds.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
    let text = format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax{age}");
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

/// Gives a browser its session.
pub(crate) fn begin_session(response: &mut Response, token: &Token) {
    set_cookie(response, SESSION, &token.reveal(), None);
}

/// Takes a browser's session away.
pub(crate) fn end_session(response: &mut Response) {
    set_cookie(response, SESSION, "", Some(0));
}

/// Keeps a link's token for a browser while it is taken up, so that it need not stand in the address bar and in the
/// browser's history.
pub(crate) fn keep_link(response: &mut Response, link: &Token) {
    set_cookie(response, LINK, &link.reveal(), Some(1800));
}

/// The token that a browser keeps.
pub(crate) fn kept_link(headers: &HeaderMap) -> Option<Token> {
    cookie(headers, LINK)?.parse().ok()
}

/// Has a browser forget the token, which opens nothing any more.
pub(crate) fn forget_link(response: &mut Response) {
    set_cookie(response, LINK, "", Some(0));
}

/// Remembers a language for somebody who has no session.
pub(crate) fn remember_language(response: &mut Response, language: Language) {
    set_cookie(response, LANGUAGE, language.as_str(), Some(365 * 86_400));
}

/// What is said with every answer: that browsers run nothing but our own files and show the page in no
/// other's frame.
pub(crate) fn outermost(router: Router, house: &Arc<House>) -> Router {
    router
        .layer(middleware::map_response(say_to_browsers))
        .layer(middleware::from_fn_with_state(Arc::clone(house), stay_encrypted))
}

async fn say_to_browsers(mut response: Response) -> Response {
    const SAID: &[(&str, &str)] = &[
        (
            "content-security-policy",
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; \
             form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=()"),
    ];
    let headers = response.headers_mut();
    for (name, value) in SAID {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// A request that comes without TLS, neither from this machine nor by a proxy that is believed, is sent to where
/// there is TLS; and browsers are told to go there at once next time (RFC 6797).
async fn stay_encrypted(State(house): State<Arc<House>>, request: Request, next: Next) -> Response {
    let connection = request.extensions().get::<Connection>().copied();
    let Some(connection) = connection else { return Trouble::Unavailable.status().into_response() };
    let site = house.site();
    let peer = connection.peer.to_canonical();
    let by_proxy = site.trusted_proxies.iter().any(|network| network.contains(peer));
    let said = text(request.headers(), HeaderName::from_static("x-forwarded-proto"));
    let encrypted = connection.encrypted || (by_proxy && said.is_some_and(|proto| proto == "https"));
    if !encrypted && !peer.is_loopback() && !by_proxy {
        let path = request.uri().path_and_query().map_or("", |path| path.as_str()).trim_start_matches('/');
        let to = format!("{}{path}", site.url);
        let mut response = StatusCode::PERMANENT_REDIRECT.into_response();
        if let Ok(value) = HeaderValue::from_str(&to) {
            response.headers_mut().insert(header::LOCATION, value);
        }
        return response;
    }
    let mut response = next.run(request).await;
    if encrypted {
        let value = HeaderValue::from_static("max-age=31536000");
        response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, value);
    }
    response
}

#[cfg(test)]
mod tests;
