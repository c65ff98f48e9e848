import Base
import Glibc
import NIOCore
import NIOSSL

/// What errors of sockets and of TLS say about a target.
enum HealthFailure {
    static func result(of error: any Error, _ target: HealthTarget) -> HealthResult {
        switch error {
        case let error as IOError: return result(errno: error.errnoCode)
        case ChannelError.connectTimeout:
            return .timeout("no answer within \(HealthText.show(time: target.check.timeout))")
        case let error as NIOSSLError: return .failure("TLS: \(short(error))")
        case let error as BoringSSLError: return .failure("TLS: \(short(error))")
        case is NIOSSLExtraError: return .failure("TLS: \(short(error))")
        default: return .failure(short(error))
        }
    }

    /// What this machine lacks says nothing about the target: if it did, a checker that ran out of descriptors would
    /// take every backend down.
    static func result(errno code: CInt) -> HealthResult {
        let text = String(cString: strerror(code)).lowercased()
        switch code {
        case EMFILE, ENFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL, EADDRINUSE, EPERM, EACCES: return .inconclusive(text)
        default: return .failure(text)
        }
    }

    private static func short(_ error: any Error) -> String { String("\(error)".prefix(160)).echoed }
}

extension SocketAddress {
    init(_ address: HealthAddress, port: UInt16) throws {
        var bytes = ByteBuffer()
        switch address {
        case .ipv4(let address): bytes.writeInteger(address)
        case .ipv6(let address):
            bytes.writeInteger(UInt64(truncatingIfNeeded: address >> 64))
            bytes.writeInteger(UInt64(truncatingIfNeeded: address))
        }
        try self.init(packedIPAddress: bytes, port: Int(port))
    }
}

/// TLS as HTTPS checks speak it: one context for those that look at certificates, one for those that do not, each made
/// when it is first needed. Event loop thread only.
final class HealthSecurity {
    private var verifying: NIOSSLContext?
    private var trusting: NIOSSLContext?

    func context(verifies: Bool) throws -> NIOSSLContext {
        if let context = verifies ? verifying : trusting { return context }
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.certificateVerification = verifies ? .fullVerification : .none
        configuration.applicationProtocols = ["http/1.1"]
        let context = try NIOSSLContext(configuration: configuration)
        if verifies { verifying = context } else { trusting = context }
        return context
    }
}
