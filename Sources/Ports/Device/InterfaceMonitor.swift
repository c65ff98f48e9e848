import CLinux
import Dispatch

/// Hears from the kernel (rtnetlink, rtnetlink(7)) that network devices appeared, vanished or changed, in the network
/// namespace in which it was made.
public final class InterfaceMonitor: @unchecked Sendable {
    private let descriptor: Int32
    private let source: any DispatchSourceRead

    /// - Parameter report: called on a thread of its own with what changed, as soon as the kernel says so. It must not
    ///   wait for anybody: meanwhile the kernel's messages pile up.
    public init(_ report: @escaping @Sendable (DeviceChanges) -> Void) throws(PortError) {
        let descriptor = weft_link_events_open()
        guard descriptor >= 0 else {
            throw PortError.system("socket(AF_NETLINK)", on: "rtnetlink", port: "interface monitor")
        }
        self.descriptor = descriptor
        source = DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: DispatchQueue(label: "weft.devices"))
        source.setEventHandler {
            let changes = Self.read(descriptor)
            if !changes.isEmpty { report(changes) }
        }
        source.setCancelHandler { close(descriptor) }
        source.activate()
    }

    /// After this at most one more report comes, one that was under way.
    deinit { source.cancel() }

    /// Everything that waits. Does not wait itself.
    private static func read(_ descriptor: Int32) -> DeviceChanges {
        var changes = DeviceChanges()
        var buffer = [CChar](repeating: 0, count: 32768)
        var name = [CChar](repeating: 0, count: 16)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT) | Int32(MSG_TRUNC))
            if count < 0 {
                if weft_errno() == EINTR { continue }
                if weft_errno() == ENOBUFS {
                    changes.isIncomplete = true
                    continue
                }
                break
            }
            if count == 0 { break }
            if count > buffer.count { changes.isIncomplete = true }
            var at: UInt32 = 0
            var index: Int32 = 0
            while weft_link_events_next(buffer, UInt32(min(count, buffer.count)), &at, &index, &name) == 1 {
                changes.indices.insert(index)
                changes.names.insert(
                    String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
            }
        }
        return changes
    }
}
