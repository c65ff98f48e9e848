import CLinux

/// Why a port could not be made, changed or used. The text names the port, the call or option, and what was expected.
public struct PortError: Error, Equatable, Sendable, CustomStringConvertible {
    public enum Kind: Equatable, Sendable {
        case unknownType
        case unsupportedType
        case unknownOption(String)
        case badValue(option: String)
        case missingOption(String)
        /// A system call failed with this errno.
        case systemCall(String, errno: Int32)
        case badFile(path: String)
        case noSuchDevice(String)
    }

    public var kind: Kind
    public var port: String
    public var message: String

    public init(_ kind: Kind, port: String, _ message: String) {
        self.kind = kind
        self.port = port
        self.message = message
    }

    public var description: String { "port \(port): \(message)" }

    /// `call` failed on `subject` (a device or a path). Reads errno unless given.
    static func system(_ call: String, on subject: String, port: String, errno: Int32 = weft_errno()) -> PortError {
        var text = "\(call) on \(subject): \(String(cString: strerror(errno)))"
        if let hint = hint(call, errno) { text += " (\(hint))" }
        return PortError(.systemCall(call, errno: errno), port: port, text)
    }

    private static func hint(_ call: String, _ errno: Int32) -> String? {
        switch errno {
        case EPERM where call.contains("AF_PACKET"), EACCES where call.contains("AF_PACKET"):
            return "needs CAP_NET_RAW: run as root or grant the capability"
        case EPERM, EACCES:
            if call.hasPrefix("open") { return "needs read and write access to the file" }
            return "needs CAP_NET_ADMIN: run as root or grant the capability"
        case ENODEV, ENXIO: return "no such network device"
        case EBUSY: return "another program uses it"
        case ENOMEM, ENOBUFS: return "not enough memory for rings of this size; lower ring="
        default: return nil
        }
    }
}
