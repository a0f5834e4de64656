import CProcessor

/// A weight of four bits a number whose inputs belong to groups, as GPTQ stores it (Frantar et al., *GPTQ*, 2023): the
/// weight from input i to output j is scale[g, j] * (code[i, j] - zero[g, j]) with g the group of i.
package struct GroupedCodes: Sendable {
  /// Inputs: a multiple of eight.
  package let inputs: Int
  /// Outputs.
  package let outputs: Int
  /// inputs / 8 x outputs, i32: the codes of eight inputs in a word, the first in its lowest bits.
  package let codes: Tensor
  /// groups x outputs, f16 bits.
  package let scales: [UInt16]
  /// groups x outputs, 0 to 16.
  package let zeros: [UInt8]
  /// The group of each input.
  package let groups: [Int32]

  /// A weight of its parts.
  ///
  /// - Throws: `GLTAError.invalidFile` where parts do not fit one another, or a scale is no finite number.
  package init(
    codes: Tensor, scales: [UInt16], zeros: [UInt8], groups: [Int32], inputs: Int, outputs: Int
  ) throws(GLTAError) {
    func require(_ isRight: Bool, _ what: @autoclosure () -> String) throws(GLTAError) {
      guard isRight else { throw GLTAError(.invalidFile, what()) }
    }
    try require(inputs > 0 && inputs % 8 == 0, "\(inputs) inputs, expected a multiple of 8")
    try require(
      codes.dtype == .i32 && codes.shape == [inputs / 8, outputs],
      "codes are \(codes.dtype.rawValue) of shape \(codes.shape), expected I32 of [\(inputs / 8), \(outputs)]")
    let count = outputs > 0 ? scales.count / outputs : 0
    try require(
      count > 0 && scales.count == count * outputs && zeros.count == scales.count,
      "\(scales.count) scales and \(zeros.count) zeros for \(outputs) outputs, expected as many of both for each group")
    try require(scales.allSatisfy { $0 & 0x7C00 != 0x7C00 }, "a scale is no finite number")
    try require(zeros.allSatisfy { $0 <= 16 }, "a zero is above 16")
    try require(groups.count == inputs, "groups of \(groups.count) inputs, expected \(inputs)")
    if let wrong = groups.first(where: { $0 < 0 || Int($0) >= count }) {
      throw GLTAError(.invalidFile, "an input is of group \(wrong) of \(count)")
    }
    self.inputs = inputs
    self.outputs = outputs
    self.codes = codes
    self.scales = scales
    self.zeros = zeros
    self.groups = groups
  }

  fileprivate var groupCount: Int { scales.count / outputs }

  /// The group of each unit of terms; nil where a unit has several.
  fileprivate var unitGroups: [Int32]? {
    var result: [Int32] = []
    for unit in Blocks(count: inputs, size: PanelLayout.unit) {
      guard groups[unit].allSatisfy({ $0 == groups[unit.lowerBound] }) else { return nil }
      result.append(groups[unit.lowerBound])
    }
    return result
  }
}

extension QuantizedPanels {
  /// Packs B of grouped codes, number for number.
  package init(_ weight: GroupedCodes, pool: ThreadPool = .serial) {
    let unitGroups = weight.unitGroups
    let layout = PanelLayout(
      unitGroups == nil ? GLTA_4_SCATTERED : GLTA_4_GROUPS, depth: weight.inputs, groups: weight.groupCount)
    self.init(
      depth: weight.inputs, columns: weight.outputs, layout: layout, groups: unitGroups ?? weight.groups)
    let panels = self
    pool.forEach(panelCount) { index, _ in
      let columns = panels.columns(of: index, from: 0)
      panels.packGroups(weight, columns, into: panels.panel(index))
      // Eight inputs in a word of each lane: the order of the panel is that of the file.
      let source = weight.codes.bytes
      let target = panels.panel(index) + layout.scaleBytes
      for word in 0..<weight.inputs / 8 {
        let first = (word * weight.outputs + columns.lowerBound) * 4
        let lanes = UnsafeRawBufferPointer(rebasing: source[first..<first + 4 * columns.count])
        if let base = lanes.baseAddress { (target + 64 * word).copyMemory(from: base, byteCount: lanes.count) }
      }
    }
  }

  private func packGroups(_ weight: GroupedCodes, _ columns: Range<Int>, into scales: UnsafeMutableRawPointer) {
    for group in 0..<weight.groupCount {
      for (lane, column) in columns.enumerated() {
        let (at, index) = (48 * group, group * weight.outputs + column)
        scales.storeBytes(of: weight.scales[index], toByteOffset: at + 2 * lane, as: UInt16.self)
        scales.storeBytes(of: weight.zeros[index], toByteOffset: at + 32 + lane, as: UInt8.self)
      }
    }
  }
}
