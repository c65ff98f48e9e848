import Base
import CLinux
import Memory
import Synchronization

/// Writes a capture file: little-endian, microseconds, version 2.4, Ethernet. Shared by the transmitters of several
/// workers, hence the lock; frames are gathered and written whole at `flush`, so that a reader never waits for the
/// rest of a burst.
public final class PcapWriter: @unchecked Sendable {
    public let path: String
    private let descriptor: Int32
    private static let capacity = 1 << 18
    private let buffer: UnsafeMutableRawPointer
    private let used = Mutex<Int>(0)

    /// Creates or empties the file and writes its header.
    public init(port: String, path: String) throws(PortError) {
        self.path = path
        // A pipe would hold up the opening until somebody reads it, and a worker whenever nobody does.
        let descriptor = weft_open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK, 0o644)
        guard descriptor >= 0 || weft_errno() == ENXIO else { throw PortError.system("open", on: path, port: port) }
        guard descriptor >= 0, weft_file_never_waits(descriptor) else {
            if descriptor >= 0 { close(descriptor) }
            throw PortError(.badFile(path: path), port: port, "\(path.echoed): is not a regular file")
        }
        self.descriptor = descriptor
        buffer = UnsafeMutableRawPointer.allocate(byteCount: Self.capacity, alignment: 64)
        // magic, version 2.4, time zone, accuracy, longest frame, LINKTYPE_ETHERNET
        let header: [UInt32] = [0xa1b2_c3d4, 4 << 16 | 2, 0, 0, 262_144, 1]
        for (index, word) in header.enumerated() {
            buffer.storeBytes(of: word.littleEndian, toByteOffset: index * 4, as: UInt32.self)
        }
        guard writeOut(24) else {
            let error = PortError.system("write", on: path, port: port)
            throw error
        }
    }

    deinit {
        _ = flush()
        close(descriptor)
        buffer.deallocate()
    }

    /// Adds one frame at `time`, nanoseconds since 1970. False if the file could not be written.
    public func write(_ frame: UnsafeRawPointer, _ length: Int, time: UInt64) -> Bool {
        used.withLock { append(frame, length, time, &$0) }
    }

    /// Adds the frames that `include` accepts. Returns how many were written; those behind a failure are not.
    func write(
        _ packets: UnsafePointer<Packet>, _ count: Int, time: UInt64, bytes: inout UInt64,
        include: (Packet) -> Bool
    ) -> Int {
        var sum: UInt64 = 0
        let written = used.withLock { used in
            var written = 0
            for index in 0..<count where include(packets[index]) {
                let packet = packets[index]
                let length = Int(packet.pointee.length)
                let stamp = packet.pointee.timestamp == 0 ? time : packet.pointee.timestamp
                guard append(packet.pointee.data, length, stamp, &used) else { continue }
                sum &+= UInt64(length)
                written &+= 1
            }
            return written
        }
        bytes &+= sum
        return written
    }

    /// Writes what was gathered. False if the file could not be written; it is lost then.
    public func flush() -> Bool {
        used.withLock { used in
            defer { used = 0 }
            return used == 0 || writeOut(used)
        }
    }

    private func append(_ frame: UnsafeRawPointer, _ length: Int, _ time: UInt64, _ used: inout Int) -> Bool {
        let needed = length + 16
        if used + needed > Self.capacity {
            let whole = writeOut(used)
            used = 0
            guard whole, needed <= Self.capacity else { return false }
        }
        let seconds = UInt32(truncatingIfNeeded: time / 1_000_000_000)
        let microseconds = UInt32(truncatingIfNeeded: time % 1_000_000_000 / 1000)
        let size = UInt32(truncatingIfNeeded: length).littleEndian
        let header = buffer + used
        header.storeBytes(of: seconds.littleEndian, as: UInt32.self)
        header.storeBytes(of: microseconds.littleEndian, toByteOffset: 4, as: UInt32.self)
        header.storeBytes(of: size, toByteOffset: 8, as: UInt32.self)
        header.storeBytes(of: size, toByteOffset: 12, as: UInt32.self)
        memcpy(header + 16, frame, length)
        used += needed
        return true
    }

    /// All or nothing: of what does not fit onto the disk, no half record stays behind that what follows would be read as.
    private func writeOut(_ count: Int) -> Bool {
        var done = 0
        while done < count {
            let result = CLinux.write(descriptor, buffer + done, count - done)
            if result > 0 {
                done += result
            } else if result == 0 || weft_errno() != EINTR {
                let end = lseek(descriptor, 0, SEEK_CUR)
                if done > 0, end >= done, ftruncate(descriptor, end - done) == 0 {
                    lseek(descriptor, end - done, SEEK_SET)
                }
                return false
            }
        }
        return true
    }
}
