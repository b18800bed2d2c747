//! `routing=redirect`: an answer that says who leads also says where, as HTTP does.
//!
//! The body names the leader in any case. If this node has been told where clients reach it, the
//! answer is a 307 with the same path and query there, which `curl -L` follows with the same
//! method and body; otherwise it is a 421. Either way nothing was done.

use std::net::SocketAddr;

use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::LOCATION;
use axum::middleware::Next;
use axum::response::Response;

/// Where clients reach the leader: an extension of the answer that redirects them.
#[derive(Clone, Copy, Debug)]
pub(super) struct LeaderAddress(pub(super) SocketAddr);

/// Gives redirects their location.
pub(super) async fn point_to_leader(request: Request, next: Next) -> Response {
    let uri = request.uri().clone();
    let mut response = next.run(request).await;
    if let Some(LeaderAddress(address)) = response.extensions().get() {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        // A path that came in a request may stand in a header.
        if let Ok(location) = HeaderValue::from_str(&format!("http://{address}{path}")) {
            response.headers_mut().insert(LOCATION, location);
        }
    }
    response
}
