namespace Tern.Cli;

/// <summary>What the process returns; 64 to 66 are the sysexits.h numbers that scripts already know.</summary>
internal static class ExitCode
{
    public const int Success = 0;

    /// <summary>A request that cannot be answered, or an error of Tern itself.</summary>
    public const int Failure = 1;

    /// <summary>EX_USAGE: the command line is wrong.</summary>
    public const int Usage = 64;

    /// <summary>EX_DATAERR: a file or the standard input holds something else than it should.</summary>
    public const int Data = 65;

    /// <summary>EX_NOINPUT: an input file is not there or cannot be read.</summary>
    public const int NoInput = 66;

    /// <summary>128 + SIGINT.</summary>
    public const int Interrupted = 130;

    /// <summary>128 + SIGTERM.</summary>
    public const int Terminated = 143;

    public static int Of(ErrorKind kind) => kind switch
    {
        ErrorKind.Format or ErrorKind.Semantic or ErrorKind.Limit or ErrorKind.Unsupported or ErrorKind.Template => Data,
        ErrorKind.File => NoInput,
        _ => Failure,
    };
}
