// weft-replay
