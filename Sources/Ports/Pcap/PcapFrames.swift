import Base
import CLinux

/// All frames of a capture file, in memory: one contiguous arena and, for each queue, an index of eight bytes a frame.
///
/// Frames start on 32-byte boundaries with 32 readable bytes behind the last, which is what `weft_copy_frame` asks for.
/// Immutable once loaded, so receivers of several workers share it.
final class PcapFrames: @unchecked Sendable {
    /// Longest frame that a buffer of the pool takes.
    static let longest = 65535

    let arena: UnsafeMutableRawPointer
    let byteCount: Int
    /// Offset in the arena << 16 | length.
    let indexes: [UnsafeMutableBufferPointer<UInt64>]
    let frameCount: Int
    /// Frames beyond `longest`, which were left out.
    let tooLong: Int
    /// Set if the file ended in the middle of a frame or was damaged: the frames before that are there.
    let problem: String?

    /// Reads the file at `path`; frames are spread over `queues` by their symmetric flow hash. `waits` allows pipes, whose
    /// reader waits for whoever writes.
    init(port: String, path: String, queues: Int, waits: Bool = false) throws(PortError) {
        let stream = try Self.open(path, port, waits)
        var message = [CChar](repeating: 0, count: Int(PCAP_ERRBUF_SIZE))
        guard
            let file = pcap_fopen_offline_with_tstamp_precision(stream, UInt32(PCAP_TSTAMP_PRECISION_NANO), &message)
        else {
            fclose(stream)
            throw PortError(.badFile(path: path), port: port, "rx=\(path): \(Self.text(message))")
        }
        defer { pcap_close(file) }
        let link = pcap_datalink(file)
        guard link == DLT_EN10MB else {
            let name = pcap_datalink_val_to_name(link).map { String(cString: $0) } ?? "number \(link)"
            throw PortError(
                .badFile(path: path), port: port, "rx=\(path): link type \(name); expected EN10MB (Ethernet)")
        }
        var loader = Loader(queues: queues)
        problem = loader.load(file).map { "rx=\(path): \($0); the \(loader.frameCount) frames before that are used" }
        guard let memory = loader.memory else {
            throw PortError(.badFile(path: path), port: port, "rx=\(path): not enough memory for its frames")
        }
        arena = memory
        byteCount = loader.used
        frameCount = loader.frameCount
        tooLong = loader.tooLong
        indexes = loader.indexes.map { index in
            let buffer = UnsafeMutableBufferPointer<UInt64>.allocate(capacity: index.count)
            _ = buffer.initialize(from: index)
            return buffer
        }
    }

    deinit {
        free(arena)
        for index in indexes { index.deallocate() }
    }

    private static func open(_ path: String, _ port: String, _ waits: Bool) throws(PortError) -> UnsafeMutablePointer<
        FILE
    > {
        let descriptor = weft_open(path, O_RDONLY | O_CLOEXEC | (waits ? 0 : O_NONBLOCK), 0)
        guard descriptor >= 0 else { throw PortError.system("open", on: path, port: port) }
        guard waits || weft_file_never_waits(descriptor) else {
            close(descriptor)
            throw PortError(.badFile(path: path), port: port, "rx=\(path.echoed): is not a regular file")
        }
        guard let stream = fdopen(descriptor, "rb") else {
            close(descriptor)
            throw PortError.system("fdopen", on: path, port: port)
        }
        return stream
    }

    private static func text(_ buffer: [CChar]) -> String {
        String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private struct Loader {
        var memory: UnsafeMutableRawPointer?
        var capacity = 1 << 20
        var used = 0
        var indexes: [[UInt64]]
        var frameCount = 0
        var tooLong = 0

        init(queues: Int) {
            indexes = Array(repeating: [], count: max(1, queues))
            memory = malloc(capacity)
        }

        /// Returns what libpcap said if the file is not whole.
        mutating func load(_ file: OpaquePointer) -> String? {
            while memory != nil {
                var header: UnsafeMutablePointer<pcap_pkthdr>?
                var bytes: UnsafePointer<UInt8>?
                switch pcap_next_ex(file, &header, &bytes) {
                case 1:
                    guard let header, let bytes else { continue }
                    add(bytes, Int(header.pointee.caplen))
                case PCAP_ERROR_BREAK: return nil
                default: return String(cString: pcap_geterr(file))
                }
            }
            return nil
        }

        mutating func add(_ bytes: UnsafePointer<UInt8>, _ length: Int) {
            guard length <= PcapFrames.longest else {
                tooLong += 1
                return
            }
            let padded = (length + 31) & ~31
            if used + padded + 64 > capacity {
                capacity *= 2
                guard let grown = realloc(memory, capacity) else {
                    free(memory)
                    memory = nil
                    return
                }
                memory = grown
            }
            guard let memory else { return }
            let target = memory + used
            memset(target, 0, padded + 64)
            memcpy(target, bytes, length)
            let queue =
                indexes.count == 1 ? 0 : Int(FlowSplit.hash(target, length)) % indexes.count
            indexes[queue].append(UInt64(used) << 16 | UInt64(length))
            used += padded
            frameCount += 1
        }
    }
}
