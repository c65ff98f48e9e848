// weftctl
