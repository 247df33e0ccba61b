//! The CRI's `ImageService`.

use async_trait::async_trait;
use cri::{CriError, ImageService, Result, v1};
use images::{Credentials, Image};

use crate::{error::internal, protocol::now, runtime::Runtime};

fn entry(image: &Image) -> v1::Image {
    let user = image.config.user.split(':').next().unwrap_or_default();
    let uid = user.parse::<i64>().ok();
    v1::Image {
        id: image.id.clone(),
        repo_tags: image.tags.clone(),
        repo_digests: image.digests.clone(),
        size: image.size_bytes,
        // The kubelet judges runAsNonRoot by these: no user at all is root.
        uid: uid.or((user.is_empty()).then_some(0)).map(|value| v1::Int64Value { value }),
        username: if uid.is_none() { user.to_owned() } else { String::new() },
        ..v1::Image::default()
    }
}

fn name(image: Option<v1::ImageSpec>) -> Result<String> {
    image
        .map(|spec| spec.image)
        .filter(|name| !name.is_empty())
        .ok_or_else(|| CriError::invalid_argument("no image is named"))
}

fn credentials(auth: Option<v1::AuthConfig>) -> Result<Credentials> {
    use base64::Engine as _;
    let Some(auth) = auth else { return Ok(Credentials::Anonymous) };
    if !auth.registry_token.is_empty() {
        return Ok(Credentials::Token { token: auth.registry_token });
    }
    if !auth.username.is_empty() {
        return Ok(Credentials::Basic { username: auth.username, password: auth.password });
    }
    if auth.auth.is_empty() {
        return Ok(Credentials::Anonymous);
    }
    let bad = || CriError::invalid_argument("the pull secret's auth field is not base64 of user:password");
    let bytes = base64::engine::general_purpose::STANDARD.decode(auth.auth.trim()).map_err(|_| bad())?;
    let text = String::from_utf8(bytes).map_err(|_| bad())?;
    let (username, password) = text.split_once(':').ok_or_else(bad)?;
    Ok(Credentials::Basic { username: username.into(), password: password.trim_end_matches('\0').into() })
}

fn pull_error(error: &images::Error) -> CriError {
    let message = error.to_string();
    match error {
        images::Error::NotFound { .. } => CriError::not_found(message),
        images::Error::BadReference { .. } => CriError::invalid_argument(message),
        images::Error::Denied { .. } => CriError::unknown(message),
        images::Error::Unreachable { .. } => CriError::unavailable(message),
        _ => CriError::unknown(message),
    }
}

#[async_trait]
impl ImageService for Runtime {
    async fn list_images(&self, request: v1::ListImagesRequest) -> Result<v1::ListImagesResponse> {
        let wanted = request.filter.and_then(|f| f.image).map(|spec| spec.image).unwrap_or_default();
        let failed = internal::<images::Error>;
        let images = if wanted.is_empty() {
            self.inner.images.list().map_err(failed("cannot list images"))?
        } else {
            self.inner.images.find(&wanted).map_err(failed("cannot list images"))?.into_iter().collect()
        };
        Ok(v1::ListImagesResponse { images: images.iter().map(entry).collect() })
    }

    async fn image_status(&self, request: v1::ImageStatusRequest) -> Result<v1::ImageStatusResponse> {
        let name = name(request.image)?;
        let image = self.inner.images.find(&name).map_err(internal("cannot read the image index"))?;
        Ok(v1::ImageStatusResponse { image: image.as_ref().map(entry), ..v1::ImageStatusResponse::default() })
    }

    async fn pull_image(&self, request: v1::PullImageRequest) -> Result<v1::PullImageResponse> {
        let name = name(request.image)?;
        let credentials = credentials(request.auth)?;
        let image = self.inner.images.pull(&name, &credentials).await.map_err(|error| pull_error(&error))?;
        Ok(v1::PullImageResponse { image_ref: image.id })
    }

    async fn remove_image(&self, request: v1::RemoveImageRequest) -> Result<v1::RemoveImageResponse> {
        let name = name(request.image)?;
        let runtime = self.clone();
        let removed = self.blocking(move || {
            // The CRI removes the image, with all its names.
            let Some(image) = runtime.inner.images.find(&name)? else { return Ok(()) };
            runtime.inner.images.remove(&image.id)?;
            runtime.collect_garbage().map(|_| ())
        });
        removed.await?.map_err(internal::<images::Error>("cannot remove the image"))?;
        Ok(v1::RemoveImageResponse {})
    }

    async fn image_fs_info(&self, _: v1::ImageFsInfoRequest) -> Result<v1::ImageFsInfoResponse> {
        let usage = self.inner.images.usage().map_err(internal("cannot measure the image store"))?;
        let filesystem = |path: &std::path::Path, bytes, inodes| v1::FilesystemUsage {
            timestamp: now(),
            fs_id: Some(v1::FilesystemIdentifier { mountpoint: path.display().to_string() }),
            used_bytes: Some(v1::UInt64Value { value: bytes }),
            inodes_used: Some(v1::UInt64Value { value: inodes }),
        };
        Ok(v1::ImageFsInfoResponse {
            image_filesystems: vec![filesystem(&usage.path, usage.bytes, usage.inodes)],
            container_filesystems: vec![filesystem(&usage.path, usage.bytes, usage.inodes)],
        })
    }
}
