namespace Tern.Hub;

/// <summary>Every environment variable that the hub and the store read. The proxy variables (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY) are read by .NET's HTTP client.</summary>
internal static class HubEnvironment
{
    /// <summary>Address of the hub or of a mirror that speaks its protocol.</summary>
    public const string Hub = "TERN_HUB";

    /// <summary>The same under the name that Hugging Face's own tools read; used where <see cref="Hub"/> is absent.</summary>
    public const string HuggingFaceEndpoint = "HF_ENDPOINT";

    /// <summary>Access token for gated and private repositories.</summary>
    public const string Token = "TERN_HUB_TOKEN";

    /// <summary>The same under Hugging Face's name; used where <see cref="Token"/> is absent.</summary>
    public const string HuggingFaceToken = "HF_TOKEN";

    /// <summary>Set to 1: nothing is downloaded.</summary>
    public const string Offline = "TERN_OFFLINE";

    /// <summary>The same under Hugging Face's name.</summary>
    public const string HuggingFaceOffline = "HF_HUB_OFFLINE";

    /// <summary>The folder of the store.</summary>
    public const string Models = "TERN_MODELS";

    /// <summary>Where programs keep data by the XDG base directory specification.</summary>
    public const string XdgDataHome = "XDG_DATA_HOME";

    /// <summary>The folder of Ollama's store.</summary>
    public const string OllamaModels = "OLLAMA_MODELS";

    /// <summary>All of them; the documentation lists the same.</summary>
    public static IReadOnlyList<string> All { get; } =
        [Hub, HuggingFaceEndpoint, Token, HuggingFaceToken, Offline, HuggingFaceOffline, Models, XdgDataHome, OllamaModels];

    /// <summary>A variable's value, or null where it is not set or empty.</summary>
    public static string? Read(string name) => Environment.GetEnvironmentVariable(name) is { Length: > 0 } value ? value : null;

    /// <summary>Whether a variable says yes, in the words that Hugging Face's tools take for yes.</summary>
    public static bool IsYes(string name) => Read(name)?.ToUpperInvariant() is "1" or "TRUE" or "YES" or "ON";
}
