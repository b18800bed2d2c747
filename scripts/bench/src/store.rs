//! The store's HTTP/JSON.

use anyhow::Result;

use crate::http1::Connection;

pub async fn put(connection: &mut Connection, key: &str, value: &str) -> Result<()> {
    let length = value.len() + 12;
    let request = format!(
        "PUT /kv/{key} HTTP/1.1\r\nhost: s\r\ncontent-length: {length}\r\n\r\n\
         {{\"value\":\"{value}\"}}"
    );
    connection.ask(&request).await
}

pub async fn get(connection: &mut Connection, key: &str) -> Result<()> {
    connection.ask(&format!("GET /kv/{key} HTTP/1.1\r\nhost: s\r\n\r\n")).await
}

pub async fn get_local(connection: &mut Connection, key: &str) -> Result<()> {
    let request = format!("GET /kv/{key}?consistency=local HTTP/1.1\r\nhost: s\r\n\r\n");
    connection.ask(&request).await
}
