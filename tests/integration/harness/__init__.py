"""What the integration tests share: certificates, the agent, sockets, real and misbehaving backends."""
