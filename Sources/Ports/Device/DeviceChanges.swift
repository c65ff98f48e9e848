/// Which network devices appeared, vanished or changed. A device that was renamed has its new name here, and the index
/// that it always had.
public struct DeviceChanges: Equatable, Sendable {
    public var names: Set<String> = []
    /// Interface indices.
    public var indices: Set<Int32> = []
    /// The kernel had more to say than the socket holds: any device may have changed.
    public var isIncomplete = false

    public init() {}

    public var isEmpty: Bool { names.isEmpty && indices.isEmpty && !isIncomplete }

    public mutating func formUnion(_ other: DeviceChanges) {
        names.formUnion(other.names)
        indices.formUnion(other.indices)
        isIncomplete = isIncomplete || other.isIncomplete
    }

    /// Whether a port's device may be one of them.
    public func concern(_ device: WatchedDevice) -> Bool {
        isIncomplete || names.contains(device.name) || indices.contains(device.index)
    }
}

/// The network device that a port follows.
public struct WatchedDevice: Equatable, Sendable {
    public var name: String
    /// Interface index when it was last looked at; 0 while it is gone.
    public var index: Int32

    public init(name: String, index: Int32) {
        self.name = name
        self.index = index
    }
}
