import CLinux

/// Hears from the kernel (rtnetlink, rtnetlink(7)) that network devices appeared, vanished or changed. The control
/// thread waits on `descriptor`, calls `changes`, and refreshes the ports on those devices.
public final class InterfaceMonitor: Sendable {
    /// Readable when something changed.
    public let descriptor: Int32

    public init() throws(PortError) {
        descriptor = weft_link_events_open()
        guard descriptor >= 0 else {
            throw PortError.system("socket(AF_NETLINK)", on: "rtnetlink", port: "interface monitor")
        }
    }

    deinit { close(descriptor) }

    public enum Changes: Equatable, Sendable {
        /// Names of devices; empty if nothing happened.
        case devices(Set<String>)
        /// The kernel had more to say than the socket holds: look at every port.
        case unknown
    }

    /// What changed since the last call. Does not wait.
    public func changes() -> Changes {
        var names: Set<String> = []
        var lost = false
        var buffer = [CChar](repeating: 0, count: 32768)
        var name = [CChar](repeating: 0, count: 16)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
            if count < 0 {
                if weft_errno() == EINTR { continue }
                if weft_errno() == ENOBUFS {
                    lost = true
                    continue
                }
                break
            }
            if count == 0 { break }
            var at: UInt32 = 0
            while weft_link_events_next(buffer, UInt32(count), &at, &name) == 1 {
                names.insert(String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
            }
        }
        return lost ? .unknown : .devices(names)
    }
}
