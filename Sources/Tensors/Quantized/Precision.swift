/// The form that frozen weights are kept and multiplied in.
public enum Precision: String, Sendable, CaseIterable, Codable {
  /// As the checkpoint has them, four bits a number or 32; products are made in f32 with the numbers that they stand for.
  case stored
  /// Single precision.
  case f32
  /// Rounded to bf16; products are made in f32 with the rounded numbers.
  case bf16
  /// Rounded to signed bytes with a scale for each 32 inputs, and so is what they are multiplied with: twice as fast or
  /// more where the processor multiplies bytes, and less exact. Weights of four bits stay what they are. Gradients are
  /// those of the weights in f32.
  case int8
}
