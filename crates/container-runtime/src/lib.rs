mod streaming_server;
