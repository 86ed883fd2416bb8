namespace Tern;

/// <summary>What went wrong, in the words that error messages and scripts use.</summary>
public enum ErrorKind
{
    /// <summary>The bytes are not what the file format says.</summary>
    Format,

    /// <summary>The file parses, but what it says cannot be true of a model.</summary>
    Semantic,

    /// <summary>A documented limit is exceeded.</summary>
    Limit,

    /// <summary>Well-formed, but not something that Tern runs.</summary>
    Unsupported,

    /// <summary>A chat template does not parse or render.</summary>
    Template,

    /// <summary>A request asks for what the model or the caller's options do not allow.</summary>
    Request,

    /// <summary>A file or folder is missing or cannot be read.</summary>
    File,

    /// <summary>The engine cannot go on: it met an internal error, or the model was disposed.</summary>
    Engine,
}

/// <summary>The one exception that Tern throws for bad input: a single clear sentence that names the place and the remedy.</summary>
public sealed class TernException : Exception
{
    /// <summary>An error of a kind with a message that is complete in itself.</summary>
    public TernException(ErrorKind kind, string message, Exception? inner = null)
        : base(message, inner) => Kind = kind;

    /// <summary>What went wrong.</summary>
    public ErrorKind Kind { get; }
}
