//! A request to any path of Vault's API.

use crate::error::{Error, Request};
use rustify::Endpoint;
use rustify::enums::{RequestMethod, RequestType, ResponseType};
use rustify::errors::ClientError as RestError;
use serde::de::IgnoredAny;
use serde_json::Value;

/// The methods Vault's API knows.
#[derive(Clone, Copy, Debug)]
pub enum Method {
    /// Takes away.
    Delete,
    /// Reads.
    Get,
    /// Lists the names below a path.
    List,
    /// Writes.
    Post,
    /// Writes; some paths take only this.
    Put,
}

impl Method {
    const fn name(self) -> &'static str {
        match self {
            Self::Delete => "DELETE",
            Self::Get => "GET",
            Self::List => "LIST",
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }
}

/// Any path below `/v1/`.
pub(super) struct Logical {
    method: Method,
    path: String,
    pub(super) query: Option<String>,
    body: Option<Vec<u8>>,
}

impl Logical {
    pub(super) fn new(method: Method, path: &str, body: Option<&Value>) -> Result<Self, Error> {
        let mut new = Self {
            method,
            path: path.to_owned(),
            query: None,
            body: None,
        };
        let body = body.map(serde_json::to_vec).transpose();
        new.body = body.map_err(|_| Error::Answer {
            request: new.request(),
            why: "the request can't be written as JSON".into(),
        })?;
        Ok(new)
    }

    pub(super) fn request(&self) -> Request {
        Request {
            method: self.method.name(),
            path: self.path.clone(),
        }
    }
}

impl Endpoint for Logical {
    type Response = IgnoredAny;
    const REQUEST_BODY_TYPE: RequestType = RequestType::JSON;
    const RESPONSE_BODY_TYPE: ResponseType = ResponseType::JSON;

    fn path(&self) -> String {
        self.path.clone()
    }

    fn method(&self) -> RequestMethod {
        match self.method {
            Method::Delete => RequestMethod::DELETE,
            Method::Get => RequestMethod::GET,
            Method::List => RequestMethod::LIST,
            Method::Post => RequestMethod::POST,
            Method::Put => RequestMethod::PUT,
        }
    }

    fn query(&self) -> Result<Option<String>, RestError> {
        Ok(self.query.clone())
    }

    fn body(&self) -> Result<Option<Vec<u8>>, RestError> {
        Ok(self.body.clone())
    }
}
