//! etcd's JSON gateway: HTTP/JSON with keys and values in base64. It translates to gRPC inside the
//! server, so it is slower than `etcd.rs`; it is here because it is what the store's API is like.

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::http1::Connection;

pub async fn put(connection: &mut Connection, key: &str, value: &str) -> Result<()> {
    let (key, value) = (STANDARD.encode(key), STANDARD.encode(value));
    post(connection, "put", &format!("{{\"key\":\"{key}\",\"value\":\"{value}\"}}")).await
}

pub async fn get(connection: &mut Connection, key: &str) -> Result<()> {
    post(connection, "range", &format!("{{\"key\":\"{}\"}}", STANDARD.encode(key))).await
}

async fn post(connection: &mut Connection, method: &str, body: &str) -> Result<()> {
    let length = body.len();
    let request = format!(
        "POST /v3/kv/{method} HTTP/1.1\r\nhost: s\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    connection.ask(&request).await
}
