import Memory

/// Which way a frame crosses a port, seen from the switch.
public enum FrameDirection: Sendable {
    case received, transmitted
}

/// Sees every frame of a queue while attached, such as a running capture. Called by workers, several at a time.
open class FrameObserver: @unchecked Sendable {
    public init() {}

    /// The frames of one burst. They still belong to the worker.
    open func observe(_ packets: UnsafePointer<Packet>, _ count: Int, _ direction: FrameDirection) {}
}
