namespace Tern.Hub;

/// <summary>Where models come from, where they are kept, and how patient a download is.</summary>
internal sealed record HubSettings
{
    private const string DefaultHub = "https://huggingface.co";

    /// <summary>The hub's address, http or https.</summary>
    public required Uri Hub { get; init; }

    /// <summary>Sent to the hub's own host and to nobody else; null for none.</summary>
    public string? Token { get; init; }

    /// <summary>Nothing is downloaded.</summary>
    public bool Offline { get; init; }

    /// <summary>The store's folder, which need not exist yet.</summary>
    public required string Store { get; init; }

    /// <summary>Ollama's store.</summary>
    public required string OllamaStore { get; init; }

    /// <summary>Byte ranges of one file that are fetched at once.</summary>
    public int Streams { get; init; } = 4;

    /// <summary>A range that gets no byte for this long is asked for again; one that moves slowly is left alone.</summary>
    public TimeSpan StallTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Tries of one request without a new byte before the download gives up.</summary>
    public int Attempts { get; init; } = 6;

    /// <summary>Smallest range that is worth a request of its own.</summary>
    public long RangeBytesMin { get; init; } = 256 << 10;

    /// <summary>Largest range: what a server that forgets us costs at most to ask again.</summary>
    public long RangeBytesMax { get; init; } = 64 << 20;

    /// <summary>Waits of the backoff run on this clock.</summary>
    public TimeProvider Clock { get; init; } = TimeProvider.System;

    /// <summary>Spreads the waits, so that many clients of a hub that was down do not come back in step.</summary>
    public Random Jitter { get; init; } = Random.Shared;

    /// <summary>The settings that the environment asks for.</summary>
    /// <exception cref="TernException">A variable holds something that is no address.</exception>
    public static HubSettings FromEnvironment() => new()
    {
        Hub = Address(HubEnvironment.Hub) ?? Address(HubEnvironment.HuggingFaceEndpoint) ?? new Uri(DefaultHub),
        Token = TokenOf(HubEnvironment.Token) ?? TokenOf(HubEnvironment.HuggingFaceToken),
        Offline = HubEnvironment.IsYes(HubEnvironment.Offline) || HubEnvironment.IsYes(HubEnvironment.HuggingFaceOffline),
        Store = StoreFolder(),
        OllamaStore = HubEnvironment.Read(HubEnvironment.OllamaModels) is { } ollama
            ? Path.GetFullPath(ollama)
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".ollama", "models"),
    };

    /// <summary>A token without the line end that reading it from a file leaves; null where there is none.</summary>
    private static string? TokenOf(string variable)
    {
        if (HubEnvironment.Read(variable)?.Trim() is not { Length: > 0 } token)
            return null;

        // The token itself is never shown.
        return token.All(c => c is > ' ' and < '\u007f')
            ? token
            : throw new TernException(ErrorKind.Request, $"{variable} holds a space or a character that no access token has; set it to the token alone");
    }

    private static Uri? Address(string variable)
    {
        if (HubEnvironment.Read(variable) is not { } text)
            return null;
        return Uri.TryCreate(text.TrimEnd('/'), UriKind.Absolute, out Uri? address) && address.Scheme is "http" or "https"
            ? address
            : throw new TernException(ErrorKind.Request, $"{variable} is '{text}', must be an address such as {DefaultHub}");
    }

    /// <summary>The store's folder by the environment and the habits of the system.</summary>
    public static string StoreFolder()
    {
        if (HubEnvironment.Read(HubEnvironment.Models) is { } chosen)
            return Path.GetFullPath(chosen);
        if (OperatingSystem.IsWindows())
            return Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData), "tern", "models");

        string home = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
        if (OperatingSystem.IsMacOS())
            return Path.Combine(home, "Library", "Application Support", "tern", "models");

        // The specification says that a relative path is to be ignored.
        return HubEnvironment.Read(HubEnvironment.XdgDataHome) is { } xdg && Path.IsPathRooted(xdg)
            ? Path.Combine(xdg, "tern", "models")
            : Path.Combine(home, ".local", "share", "tern", "models");
    }
}
