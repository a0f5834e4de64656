import ArgumentParser

@main
struct GLTA: ParsableCommand {}
