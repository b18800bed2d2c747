//! The store's HTTP/JSON, by the least that HTTP/1.1 needs, so that the client costs little.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One kept-alive connection.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await.context("cannot reach the store")?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, buffer: Vec::new() })
    }

    pub async fn put(&mut self, key: &str, value: &str) -> Result<()> {
        let length = value.len() + 12;
        let request = format!(
            "PUT /kv/{key} HTTP/1.1\r\nhost: s\r\ncontent-length: {length}\r\n\r\n\
             {{\"value\":\"{value}\"}}"
        );
        self.ask(&request).await
    }

    pub async fn get(&mut self, key: &str) -> Result<()> {
        self.ask(&format!("GET /kv/{key} HTTP/1.1\r\nhost: s\r\n\r\n")).await
    }

    async fn ask(&mut self, request: &str) -> Result<()> {
        self.stream.write_all(request.as_bytes()).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the store closed the connection");
            }
            if let Some(end) = answer_end(&self.buffer)?
                && self.buffer.len() >= end
            {
                break;
            }
        }
        if !self.buffer.starts_with(b"HTTP/1.1 200") {
            bail!("the store answered {}", String::from_utf8_lossy(&self.buffer));
        }
        Ok(())
    }
}

/// Where the answer ends, once its head is there.
fn answer_end(bytes: &[u8]) -> Result<Option<usize>> {
    let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&bytes[..head])?;
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.context("expected a content-length in the answer")?.parse()?;
    Ok(Some(head + 4 + length))
}
