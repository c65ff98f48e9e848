// Ports: how frames enter and leave the switch.
//
// What a port is. A `Port` is a long-lived object: a network device, a TAP device, a capture file, or nothing at all.
// It has receive queues (`PortReceiver`) and makes transmit queues (`PortTransmitter`), one for each worker. No port
// knows flows, rules or bridges; it sees frames in buffers of a `PacketPool`.
//
// Who owns what.
// - A receiver or transmitter is used by exactly one worker at a time; giving it to another worker needs a hand-over
//   that the dataplane arranges (the old worker has passed a quiet point). So nothing in them is locked.
// - The `Port` itself, its status, `setAdmin`, `refresh` and captures belong to the control thread.
// - What crosses between the two is only: the counters (raw words that the owner writes and anybody reads), a few
//   shared words beside them (administrative state, largest frame), and `Handoff` slots through which the control thread
//   gives a worker something new (a reopened socket, a capture); the worker looks at one flag once a burst.
//
// What it costs. One virtual call for each burst in each direction, never one for each frame. Receivers copy the frame
// into a pool buffer, transmitters copy it out; buffers are freed by the worker, never by a port. Nothing on this path
// allocates, locks (capture files excepted), logs or throws: whatever is wrong with a frame becomes a counted drop.
//
// Counting. A receiver's `packets` are the frames that it handed out; its drops come on top (frames that arrived but
// found no buffer or were too long). A transmitter's packets are the frames that it took; drops are those it refused.
// A worker's books therefore balance with: handed out = taken + refused by transmitters + dropped inside.
//
// Offloads. A frame may arrive with a partial checksum or as a segmentation super-frame of up to 64 KiB (virtio
// vocabulary, `PacketHeader.Offload`). A transmitter that says `handlesChecksum` and `handlesSegmentation` takes such
// frames as they are; for the others the worker finishes the checksum and cuts the frame first.
