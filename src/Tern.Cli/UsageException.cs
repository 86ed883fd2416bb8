namespace Tern.Cli;

/// <summary>The command line asks for something that no verb offers; the message says what to write instead.</summary>
internal sealed class UsageException(string message) : Exception(message);
