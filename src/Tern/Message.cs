namespace Tern;

/// <summary>Who says a message of a chat.</summary>
public enum Role
{
    /// <summary>Instructions that stand above the conversation.</summary>
    System,

    /// <summary>The person.</summary>
    User,

    /// <summary>The model.</summary>
    Assistant,

    /// <summary>The result of a tool.</summary>
    Tool,
}

/// <summary>One message of a chat.</summary>
/// <param name="Role">Who says it.</param>
/// <param name="Content">The text.</param>
public sealed record Message(Role Role, string Content);
