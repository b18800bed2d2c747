//! etcd's gRPC, its best interface: HTTP/2 frames around two small protobuf messages, encoded by
//! hand (etcdserverpb `PutRequest` and `RangeRequest`: field 1 is the key, field 2 of a put the
//! value; a range is linearizable unless it says otherwise).

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use bytes::{BufMut, Bytes, BytesMut};
use h2::client::SendRequest;
use http::Request;
use tokio::net::TcpStream;

/// One HTTP/2 connection.
pub struct Connection {
    sender: SendRequest<Bytes>,
    authority: String,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await.context("cannot reach etcd")?;
        stream.set_nodelay(true)?;
        let (sender, connection) = h2::client::handshake(stream).await?;
        tokio::task::spawn_local(connection);
        Ok(Connection { sender, authority: address.to_string() })
    }

    pub async fn put(&mut self, key: &str, value: &str) -> Result<()> {
        let mut message = BytesMut::new();
        field(&mut message, 1, key);
        field(&mut message, 2, value);
        self.call("Put", &message).await
    }

    pub async fn get(&mut self, key: &str) -> Result<()> {
        let mut message = BytesMut::new();
        field(&mut message, 1, key);
        self.call("Range", &message).await
    }

    async fn call(&mut self, method: &str, message: &[u8]) -> Result<()> {
        let request = Request::post(format!("http://{}/etcdserverpb.KV/{method}", self.authority))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())?;
        let mut frame = BytesMut::with_capacity(message.len() + 5);
        frame.put_u8(0);
        frame.put_u32(message.len() as u32);
        frame.put_slice(message);
        let mut ready = self.sender.clone().ready().await?;
        let (answer, mut body) = ready.send_request(request, false)?;
        body.send_data(frame.freeze(), true)?;
        let mut body = answer.await?.into_body();
        while let Some(chunk) = body.data().await {
            let length = chunk?.len();
            body.flow_control().release_capacity(length)?;
        }
        let trailers = body.trailers().await?.context("expected the status of the call")?;
        let status = trailers.get("grpc-status").and_then(|status| status.to_str().ok());
        ensure!(status == Some("0"), "etcd answered {trailers:?}");
        Ok(())
    }
}

/// A field of bytes: its key, its length as a varint, the bytes.
fn field(message: &mut BytesMut, number: u8, text: &str) {
    message.put_u8(number << 3 | 2);
    let mut length = text.len();
    while length >= 128 {
        message.put_u8(length as u8 | 128);
        length >>= 7;
    }
    message.put_u8(length as u8);
    message.put_slice(text.as_bytes());
}
