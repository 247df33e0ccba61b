//! Images.

use async_trait::async_trait;

use crate::{Result, v1};

/// `runtime.v1.ImageService`.
#[async_trait]
pub trait ImageService: Send + Sync + 'static {
    async fn list_images(&self, request: v1::ListImagesRequest) -> Result<v1::ListImagesResponse>;
    async fn image_status(&self, request: v1::ImageStatusRequest) -> Result<v1::ImageStatusResponse>;
    async fn pull_image(&self, request: v1::PullImageRequest) -> Result<v1::PullImageResponse>;
    async fn remove_image(&self, request: v1::RemoveImageRequest) -> Result<v1::RemoveImageResponse>;
    async fn image_fs_info(&self, request: v1::ImageFsInfoRequest) -> Result<v1::ImageFsInfoResponse>;
}
