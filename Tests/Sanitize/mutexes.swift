// Four threads that count under one Mutex. With the argument "forget" one of them now and then counts without it.
import Dispatch
import Synchronization

final class Shared: @unchecked Sendable {
    let lock = Mutex<[Int]>([])
    var count = 0
}

let shared = Shared()
let forgets = CommandLine.arguments.dropFirst().first == "forget"
DispatchQueue.concurrentPerform(iterations: 4) { thread in
    for round in 0..<100_000 {
        if forgets, thread == 3, round % 1000 == 999 {
            shared.count += 1
        } else {
            shared.lock.withLock { numbers in
                if numbers.count > 8 { numbers.removeAll() }
                numbers.append(round)
                shared.count += 1
            }
        }
    }
}
print(shared.count)
