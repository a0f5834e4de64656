import Foundation
import Synchronization
import Tensors
import TestSupport
import Testing

struct ThreadPoolTests {
  @Test(arguments: [1, 2, 5]) func runsEveryIndexOnceAndGivesEachWorkerItsNumber(threads: Int) {
    let pool = ThreadPool(threads: threads)
    for count in [0, 1, 2, 100, 1_000] {
      let runs = Matrix(rows: 1, columns: max(1, count))
      let outside = Atomic<Int>(0)
      pool.forEach(count) { index, worker in
        runs.base[index] += 1
        if worker < 0 || worker >= threads { outside.add(1, ordering: .relaxed) }
      }
      #expect(runs.elements.prefix(count).allSatisfy { $0 == 1 })
      #expect(outside.load(ordering: .relaxed) == 0)
    }
  }

  @Test func aLoopWithinALoopRunsWhereItIs() {
    let pool = ThreadPool(threads: 3)
    let sums = Matrix(rows: 8, columns: 1)
    pool.forEach(8) { outer, worker in
      pool.forEach(10) { inner, innerWorker in
        sums[outer, 0] += Float(inner)
        if worker != innerWorker { sums[outer, 0] = .nan }
      }
    }
    #expect(sums.elements.allSatisfy { $0 == 45 })
  }

  @Test func theSerialPoolHasOneWorkerInAnyLoop() {
    let pool = ThreadPool(threads: 3)
    let workers = Matrix(rows: 8, columns: 4)
    pool.forEach(8) { outer, _ in
      ThreadPool.serial.forEach(4) { inner, worker in workers[outer, inner] = Float(worker) }
    }
    #expect(workers.elements.allSatisfy { $0 == 0 })
  }

  /// Threads that sleep, that look for work, and that come when all is done.
  @Test func survivesLoopsThatAreEarlyAndLate() {
    let total = Atomic<Int>(0)
    for threads in [2, 3, 8] {
      let pool = ThreadPool(threads: threads)
      for loop in 0..<200 {
        pool.forEach(5) { index, _ in
          if index == loop % 7 { usleep(200) }
          total.add(1, ordering: .relaxed)
        }
        if loop % 10 == 0 { usleep(300) }
      }
    }
    #expect(total.load(ordering: .relaxed) == 3_000)
  }

  @Test func survivesManyShortLoops() {
    let pool = ThreadPool(threads: 2)
    let total = Atomic<Int>(0)
    for _ in 0..<20_000 { pool.forEach(3) { _, _ in total.add(1, ordering: .relaxed) } }
    #expect(total.load(ordering: .relaxed) == 60_000)
  }
}

struct RandomNumberTests {
  @Test func drawsAreUniformAndNormal() {
    var random = Philox(seed: 7, purpose: "moments").sequence()
    let count = 200_000
    let uniforms = (0..<count).map { _ in Double(random.uniform()) }
    #expect(abs(uniforms.reduce(0, +) / Double(count) - 0.5) < 0.003)
    #expect(uniforms.allSatisfy { $0 >= 0 && $0 < 1 })
    let normals = (0..<count).map { _ in Double(random.normal()) }
    #expect(abs(normals.reduce(0, +) / Double(count)) < 0.01)
    #expect(abs(normals.map { $0 * $0 }.reduce(0, +) / Double(count) - 1) < 0.02)
    var counts = [Int](repeating: 0, count: 7)
    for _ in 0..<70_000 { counts[random.index(below: 7)] += 1 }
    #expect(counts.allSatisfy { abs($0 - 10_000) < 500 })
  }

  @Test func purposesAndIndicesDrawIndependently() {
    func first(_ purpose: String, _ index: UInt64) -> UInt64 {
      var random = Philox(seed: 1, purpose: purpose, index: index).sequence()
      return random.next()
    }
    #expect(Set([first("a", 0), first("a", 1), first("b", 0), first("b", 1)]).count == 4)
    #expect(first("a", 0) == first("a", 0))
  }
}

struct TensorTests {
  @Test func roundsToBFloat16AsIEEEWould() {
    // Ties go to the even neighbour: 1 + 2^-8 lies between 1 and 1 + 2^-7.
    #expect(BFloat16(1 + 0x1p-8).float == 1)
    #expect(BFloat16(1 + 3 * 0x1p-8).float == 1 + 0x1p-6)
    #expect(BFloat16(1 + 0x1.1p-8).float == 1 + 0x1p-7)
    #expect(BFloat16(.infinity).float == .infinity)
    #expect(BFloat16(.nan).float.isNaN)
    #expect(BFloat16(-3.5).float == -3.5)
    #expect(BFloat16(Float.greatestFiniteMagnitude).float == .infinity)
  }

  @Test func viewsShareElements() {
    let tensor = Tensor([1, 2, 3, 4, 5, 6] as [Float], shape: [3, 2])
    let view = tensor.slice(1..<3).matrix()
    view[0, 0] = 9
    #expect(tensor.elements(Float.self) == [1, 2, 9, 4, 5, 6])
    #expect(tensor.reshaped([6]).shape == [6])
    #expect(Int(bitPattern: tensor.storage.base) % Storage.alignment == 0)
  }

  @Test func everyDTypeReadsAsFloats() {
    #expect(Tensor([1, -2] as [Int8]).floats() == [1, -2])
    #expect(Tensor([1, -2] as [Int32]).floats() == [1, -2])
    #expect(Tensor([1, -2] as [Int64]).floats() == [1, -2])
    #expect(Tensor([1.5, -2] as [Float16]).floats() == [1.5, -2])
    #expect(Tensor([BFloat16(1.5), BFloat16(-2)]).floats() == [1.5, -2])
  }

  @Test func noticesWhatIsNotFinite() {
    let matrix = randomMatrix(5, 7)
    #expect(matrix.isFinite)
    for bad in [Float.nan, .infinity, -.infinity] {
      for index in [0, 16, 34] {
        let broken = matrix.copy()
        broken.base[index] = bad
        #expect(!broken.isFinite)
      }
    }
  }
}

struct AdamTests {
  /// Two steps worked out by hand for one parameter: gradients 0.5 and -0.25, rate 0.1.
  @Test func matchesTheFormula() {
    let parameter = Matrix([1], rows: 1, columns: 1)
    var adam = Adam(like: parameter)
    let pool = ThreadPool(threads: 1)
    adam.update(parameter, gradient: Matrix([0.5], rows: 1, columns: 1), options: .init(learningRate: 0.1), pool: pool)
    // The first step moves by the rate: m/(1-b1) = g, sqrt(v/(1-b2)) = |g|.
    #expect(abs(parameter[0, 0] - 0.9) < 1e-6)
    adam.update(
      parameter, gradient: Matrix([-0.25], rows: 1, columns: 1), options: .init(learningRate: 0.1), pool: pool)
    let m = (0.9 * 0.05 - 0.1 * 0.25) / (1 - 0.81)
    let v = (0.999 * 0.00025 + 0.001 * 0.0625) / (1 - 0.998001)
    #expect(abs(Double(parameter[0, 0]) - (0.9 - 0.1 * m / v.squareRoot())) < 1e-6)
  }

  @Test func aGroupClipsTheJointNormAndKeepsStillOnNaN() {
    let pool = ThreadPool(threads: 1)
    var group = ParameterGroup([("a", Matrix([0], rows: 1, columns: 1)), ("b", Matrix([0], rows: 1, columns: 1))])
    let gradients = [Matrix([3], rows: 1, columns: 1), Matrix([4], rows: 1, columns: 1)]
    #expect(group.step(gradients: gradients, options: .init(learningRate: 0.1), maximumNorm: 1, pool: pool) == 5)
    #expect(abs(gradients[0][0, 0] - 0.6) < 1e-6 && abs(gradients[1][0, 0] - 0.8) < 1e-6)
    let before = group["a"][0, 0]
    let broken = [Matrix([.nan], rows: 1, columns: 1), Matrix([1], rows: 1, columns: 1)]
    #expect(group.step(gradients: broken, options: .init(learningRate: 0.1), maximumNorm: 1, pool: pool).isNaN)
    #expect(group["a"][0, 0] == before)
  }
}
