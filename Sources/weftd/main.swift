// weftd
